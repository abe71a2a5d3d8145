"""Bring Feast's online store up to date: what is known of each entity now."""

import math
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from . import features, ingest, store
from .errors import Problem
from .serving.online import Online

COMPARED = 200
"""Requests whose features of the online store are compared with the join's."""
CLOSE = 1e-6
"""A feature that is declared as Float32 may differ by so much."""


def run(until: datetime | None = None) -> None:
    """The rows of now → features.build → the online store that feature_store.yaml names.

    What came after `until` is left out.

    Raises:
        Problem: an engine runs it, and the store is a file in the stage's own folder; or the store
            gives other features than the join.
    """
    raw, values, until = ingest.load(), features.section(), until or datetime.now(UTC)
    online, asked = Online(), features.requests(raw, values)
    with tempfile.TemporaryDirectory() as scratch:
        tables = features.write(raw, values, Path(scratch))
        ends = [table["event_timestamp"].max() for table in tables.values()]
        newest = max(ends, default=pd.Timestamp(until))
        at: pd.Timestamp = min(newest, pd.Timestamp(until))
        with store.opened(Path(scratch)) as feast:
            path = getattr(feast.config.online_store, "path", None)
            if path and not Path(path).is_absolute() and "MLOPS_RUN_ID" in os.environ:
                raise Problem(
                    f"{store.FOLDER}/feature_store.yaml: the online store is the file {path}, which"
                    " goes with this stage: name one that the service reaches too, such as redis"
                )
            store.fill(feast, until)
            joined = store.join(feast, _some(asked, [*online.keys], at))
    compare(online, joined, at)
    print(f"the online store has {', '.join(tables)}, the newest rows of {newest:%Y-%m-%d %H:%M}")


def _some(requests: pd.DataFrame, keys: list[str], at: pd.Timestamp) -> pd.DataFrame:
    """The last requests, each of other entities, as if they came at that moment."""
    in_order = requests.sort_values("event_timestamp", kind="stable")
    if keys:
        in_order = in_order.drop_duplicates(keys, keep="last")
    return in_order.tail(COMPARED).assign(event_timestamp=at).reset_index(drop=True)


def compare(online: Online, joined: pd.DataFrame, at: datetime) -> None:
    """Compare what the online store gives for rows with what the join gave them.

    Raises:
        Problem: a feature differs; the feature, the view and the row's keys.
    """
    rows = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in joined[[*online.keys]].to_dict("records")
    ]
    newer: set[str] = set()
    online.noted = lambda name, age: newer.add(name) if age < -1 else None
    for name, values in online.read(rows, at).items():
        if newer & {name, *online.sources.get(name, ())}:
            continue  # another materialization has rows that came meanwhile
        for row, stored, expected in zip(rows, values, joined[name], strict=True):
            if not _same(stored, expected):
                keys = ", ".join(f"{key}={value}" for key, value in row.items())
                raise Problem(
                    f"{store.FOLDER}/: {online.views[name]}: {name} of {keys} is {stored!r} in the"
                    f" online store and {expected!r} in the join as of {at:%Y-%m-%d %H:%M}:"
                    " a model would be served what it was not trained on"
                )


def _same(stored: Any, expected: Any) -> bool:
    if not pd.api.types.is_scalar(expected):
        return [*stored] == [*expected]
    if stored is None or pd.isna(stored) or pd.isna(expected):
        return (stored is None or bool(pd.isna(stored))) and bool(pd.isna(expected))
    if isinstance(expected, str | bool | datetime):
        return bool(stored == expected)
    return math.isclose(stored, expected, rel_tol=CLOSE)
