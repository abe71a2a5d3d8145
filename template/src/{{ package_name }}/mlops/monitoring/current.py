"""Current data: one day's rows with predictions, and earlier predictions that now have labels."""

import tempfile
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from .. import contract, tables
from ..batch import publish, rows
from ..data import features, ingest
from ..settings import settings

MOST = 20_000
"""Approximate maximum of rows to compare, of the day and of the days with labels."""

Judged = tuple[pd.DataFrame, pd.DataFrame]
"""Examples and their predictions."""


def day(total: int) -> pd.DataFrame:
    """Return the rows of the day with their predictions, or a sample of MOST."""
    columns = [*contract.schema().Features.to_schema().columns]
    shards = sorted(path.name for path in rows.ROWS.glob("*.parquet"))
    groups = chain.from_iterable(publish.groups(name, columns, {}) for name in shards)
    return sampled(groups, total)


def labelled(published: dict[str, Any], days: int) -> Judged | None:
    """Return this version's predictions of the last days whose labels have arrived, or None.

    Published requests are matched with the current examples by the columns of the request. A
    request that occurs twice is ambiguous and left out. The features are joined anew, because a
    metric may use any column.
    """
    keys, last = published["columns"], date.fromisoformat(published["date"])
    raw, values = ingest.load(), features.section()
    examples = features.examples(raw, values)
    if {*keys} - {*examples}:
        return None
    when = examples[tables.TIME].dt.date
    examples = examples[(when > last - timedelta(days=days)) & (when <= last)]
    table = _published(published, last - timedelta(days=days), last)
    names = published.get("names", {"requests": {name: name for name in keys}, "predictions": {}})
    requests = table[[names["requests"][name] for name in keys]].set_axis(keys, axis=1)
    # Days that were published before a column existed have no values in it.
    requests = requests.dropna(subset=[name for name in keys if examples[name].notna().all()])
    requests = requests.astype({name: examples[name].dtype for name in keys})
    matches = _matches(examples[keys], requests)
    if matches.empty:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        features.write(raw, values, Path(scratch))
        labeled = examples.loc[matches["examples"]].reset_index(drop=True)
        joined = pd.concat(rows.joined(labeled, Path(scratch), 1), ignore_index=True)
    predictions = table.drop(columns=[*names["requests"].values()])
    own = {new: name for name, new in names["predictions"].items()}
    return joined, predictions.loc[matches["requests"]].reset_index(drop=True).rename(columns=own)


def _matches(examples: pd.DataFrame, requests: pd.DataFrame) -> pd.DataFrame:
    """Return the indexes of rows in both tables, without those that occur twice in one of them."""
    columns = [*range(examples.shape[1])]  # numbers, which are the name of no column
    tables_ = {"examples": examples, "requests": requests}
    sides = [
        table.drop_duplicates(keep=False).set_axis(columns, axis=1).rename_axis(name).reset_index()
        for name, table in tables_.items()
    ]
    return sides[0].merge(sides[1], on=columns)[[*tables_]]


def _published(published: dict[str, Any], after: date, last: date) -> pd.DataFrame:
    """Return these days' requests and predictions by the version, or a sample of MOST."""
    table = DeltaTable(settings().predictions).to_pyarrow_dataset()
    version = pc.field("model_version") == str(published["version"])
    selected = version & (pc.field("date") > after) & (pc.field("date") <= last)
    total = table.count_rows(filter=selected)
    columns = [name for name in table.schema.names if name not in ("model_version", "date")]
    batches = table.to_batches(columns=columns, filter=selected)
    return sampled((pa.Table.from_batches([batch]) for batch in batches), total)


def sampled(parts: Iterable[pa.Table], total: int) -> pd.DataFrame:
    """Return about MOST of `total` rows, drawn by a fixed seed; only these are held in memory."""
    random, share = np.random.default_rng(0), MOST / max(total, 1)
    drawn = [part.filter(pa.array(random.random(len(part)) < share)) for part in parts]
    table: pd.DataFrame = pa.concat_tables(drawn, promote_options="permissive").to_pandas()
    return table
