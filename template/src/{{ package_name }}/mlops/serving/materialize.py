"""Bring Feast's online store up to date with the latest features of each entity."""

import math
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ..data import feature_store, features, ingest
from ..errors import Problem
from .online_features import Online

COMPARED = 200
"""Number of requests whose online features are compared with those of the join."""
CLOSE = 1e-6
"""Relative tolerance, for features declared as Float32."""


def run(until: datetime | None = None) -> None:
    """Build the current features, and fill the online store named in feature_store.yaml.

    Rows after `until`, by default now, are left out.

    Raises:
        Problem: an engine runs the stage and the store is a file in the stage's own folder; or the
            features in the store differ from those of the join.
    """
    raw, values, until = ingest.load(), features.section(), until or datetime.now(UTC)
    online, requests = Online(), features.requests(raw, values)
    with tempfile.TemporaryDirectory() as scratch:
        tables = features.write(raw, values, Path(scratch))
        ends = [table["event_timestamp"].max() for table in tables.values()]
        newest = max(ends, default=pd.Timestamp(until))
        at: pd.Timestamp = min(newest, pd.Timestamp(until))
        with feature_store.opened(Path(scratch)) as feast:
            path = getattr(feast.config.online_store, "path", None)
            if path and not Path(path).is_absolute() and "MLOPS_RUN_ID" in os.environ:
                raise Problem(
                    f"{feature_store.FOLDER}/feature_store.yaml: the online store is the file"
                    f" {path}, which is lost after this stage: use one that the service can reach,"
                    " such as redis"
                )
            feature_store.fill(feast, until)
            joined = feature_store.join(feast, _sample(requests, [*online.keys], at))
    compare(online, joined, at)
    print(f"the online store has {', '.join(tables)}; the newest row is of {newest:%Y-%m-%d %H:%M}")


def _sample(requests: pd.DataFrame, keys: list[str], at: pd.Timestamp) -> pd.DataFrame:
    """Return the last requests of different entities, with `at` as their time."""
    ordered = requests.sort_values("event_timestamp", kind="stable")
    if keys:
        ordered = ordered.drop_duplicates(keys, keep="last")
    return ordered.tail(COMPARED).assign(event_timestamp=at).reset_index(drop=True)


def compare(online: Online, joined: pd.DataFrame, at: datetime) -> None:
    """Compare the features in the online store with those of the join.

    Raises:
        Problem: a feature differs; the message names it, its view and the keys of the row.
    """
    rows = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in joined[[*online.keys]].to_dict("records")
    ]
    newer: set[str] = set()
    online.noted = lambda name, age: newer.add(name) if age < -1 else None
    for name, values in online.read(rows, at).items():
        if newer & {name, *online.sources.get(name, ())}:
            continue  # another materialization has loaded newer rows
        for row, stored, expected in zip(rows, values, joined[name], strict=True):
            if not _same(stored, expected):
                keys = ", ".join(f"{key}={value}" for key, value in row.items())
                raise Problem(
                    f"{feature_store.FOLDER}/: {online.views[name]}: {name} of {keys} is {stored!r}"
                    f" in the online store and {expected!r} in the join as of {at:%Y-%m-%d %H:%M}:"
                    " the model would get other features than in training"
                )


def _same(stored: Any, expected: Any) -> bool:
    if not pd.api.types.is_scalar(expected):
        return [*stored] == [*expected]
    if stored is None or pd.isna(stored) or pd.isna(expected):
        return (stored is None or bool(pd.isna(stored))) and bool(pd.isna(expected))
    if isinstance(expected, str | bool | datetime):
        return bool(stored == expected)
    return math.isclose(stored, expected, rel_tol=CLOSE)
