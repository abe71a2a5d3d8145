"""What a day brought: its rows with their predictions, and labels of what was published before."""

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

from . import contract, features, ingest, publish, rows, tables
from .settings import settings

MOST = 20_000
"""Rows of a day, or of the days with labels, that are looked at."""

Judged = tuple[pd.DataFrame, pd.DataFrame]
"""Examples, and what was predicted of them."""


def day(total: int) -> pd.DataFrame:
    """The rows of the day with their predictions, or MOST of them."""
    columns = [*contract.schema().Features.to_schema().columns]
    shards = sorted(path.name for path in rows.ROWS.glob("*.parquet"))
    groups = chain.from_iterable(publish.groups(name, columns, {}) for name in shards)
    return sampled(groups, total)


def labelled(published: dict[str, Any], days: int) -> Judged | None:
    """What was published of the last days by this version, where it is known what then happened.

    The examples of now are found by the columns of the request; those that two rows have in common
    tell nothing. Their features are joined anew, for a metric may ask for any column.
    """
    keys, last = published["columns"], date.fromisoformat(published["date"])
    raw, values = ingest.load(), features.section()
    known = features.examples(raw, values)
    if {*keys} - {*known}:
        return None
    when = known[tables.TIME].dt.date
    known = known[(when > last - timedelta(days=days)) & (when <= last)]
    said = _published(published, last - timedelta(days=days), last)
    names = published.get("names", {"requests": {name: name for name in keys}, "predictions": {}})
    asked = said[[names["requests"][name] for name in keys]].set_axis(keys, axis=1)
    # A day that was published before a column was there has nothing in it.
    asked = asked.dropna(subset=[name for name in keys if known[name].notna().all()])
    found = _same(known[keys], asked.astype({name: known[name].dtype for name in keys}))
    if found.empty:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        features.write(raw, values, Path(scratch))
        examples = known.loc[found["known"]].reset_index(drop=True)
        joined = pd.concat(rows.joined(examples, Path(scratch), 1), ignore_index=True)
    predictions = said.drop(columns=[*names["requests"].values()])
    own = {new: name for name, new in names["predictions"].items()}
    return joined, predictions.loc[found["asked"]].reset_index(drop=True).rename(columns=own)


def _same(known: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """The places of rows that are alike; those that two rows have in common tell nothing."""
    columns = [*range(known.shape[1])]  # a number is the name of no column
    tables_ = {"known": known, "asked": asked}
    sides = [
        table.drop_duplicates(keep=False).set_axis(columns, axis=1).rename_axis(name).reset_index()
        for name, table in tables_.items()
    ]
    return sides[0].merge(sides[1], on=columns)[[*tables_]]


def _published(published: dict[str, Any], after: date, last: date) -> pd.DataFrame:
    """The requests and predictions of these days by the version in production, or MOST of them."""
    table = DeltaTable(settings().predictions).to_pyarrow_dataset()
    version = pc.field("model_version") == str(published["version"])
    wanted = version & (pc.field("date") > after) & (pc.field("date") <= last)
    total = table.count_rows(filter=wanted)
    columns = [name for name in table.schema.names if name not in ("model_version", "date")]
    batches = table.to_batches(columns=columns, filter=wanted)
    return sampled((pa.Table.from_batches([batch]) for batch in batches), total)


def sampled(parts: Iterable[pa.Table], total: int) -> pd.DataFrame:
    """Give about MOST of `total` rows, drawn by a fixed seed; only those are held in memory."""
    random, share = np.random.default_rng(0), MOST / max(total, 1)
    taken = [part.filter(pa.array(random.random(len(part)) < share)) for part in parts]
    table: pd.DataFrame = pa.concat_tables(taken, promote_options="permissive").to_pandas()
    return table
