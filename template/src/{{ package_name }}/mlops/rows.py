"""Bring in the rows of one day, with what was known of each, in shards."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from . import contract, delta, features, files, ingest, tables
from .errors import Problem
from .settings import settings

ROWS = files.ROWS
ABOUT = ROWS / "about.json"

JOINED = 500_000
"""Rows that the join holds in memory at once."""
GROUP = 65_536
"""Rows that the stages after it do."""


def run(shards: int) -> None:
    """features.requests of $MLOPS_DATE → Feast's join → data/batch/rows/<shard>.parquet.

    A day is that day; a moment, which a schedule gives, is the latest day until then that has rows;
    without either it is the latest of all.
    """
    raw, values = ingest.load(), features.section()
    requests, day = of_a_day(features.requests(raw, values))
    predictions = contract.schema().Predictions.to_schema().columns
    columns = delta.check(requests, predictions, settings().predictions)
    about = {"date": str(day), "rows": len(requests), "columns": columns}
    with files.replacing(ROWS) as folder:
        with tempfile.TemporaryDirectory() as scratch:
            features.write(raw, values, Path(scratch))
            write(joined(requests, Path(scratch), shards), folder, shards, requests)
        files.write_json(folder / ABOUT.name, about)
    print(f"{day}: {len(requests):,} rows in {shards} shards")


def joined(requests: pd.DataFrame, sources: Path, shards: int) -> Iterator[pd.DataFrame]:
    """Give the requests with their features, at least a part a shard, in order."""
    from . import store  # Feast takes seconds to import

    schema = contract.schema().Features
    size = min(JOINED, -(-len(requests) // shards))
    with store.opened(sources) as feast:
        for start in range(0, len(requests), size):
            part = store.join(feast, requests.iloc[start : start + size])
            yield tables.check(part, schema, "the rows")


def write(parts: Iterable[pd.DataFrame], folder: Path, shards: int, requests: pd.DataFrame) -> None:
    """Deal the parts out to the shards' files, a row group a part; a shard may be empty.

    All have the types of the first part, and where that has no value, of the whole day's requests.
    """
    paths = [folder.resolve() / f"{shard}.parquet" for shard in range(shards)]
    first = next(remaining := iter(parts))  # Feast's join is in another folder from here on
    try:
        schema = _schema(first, requests)
        with ExitStack() as stack:
            writers = [stack.enter_context(pq.ParquetWriter(path, schema)) for path in paths]
            for number, part in enumerate(chain([first], remaining)):
                table = pa.Table.from_pandas(part, schema, preserve_index=False)
                writers[number % shards].write_table(table, GROUP)
    except tables.UNHOLDABLE as error:
        raise Problem(f"the rows: {tables.reason(error)}") from None


def _schema(part: pd.DataFrame, requests: pd.DataFrame) -> pa.Schema:
    """The types of the columns; of objects the whole day tells more than a part.

    What has no value at all is text.
    """
    schema = pa.Schema.from_pandas(part, preserve_index=False)
    checked = contract.schema().Features.to_schema().columns
    for place, field in enumerate(schema):
        if part[field.name].dtype == object:
            day = pa.array(requests.get(field.name, []), from_pandas=True).type
            both = [field.type, day] if field.name in checked else [day, field.type]
            kind = next((kind for kind in both if not pa.types.is_null(kind)), pa.string())
            schema = schema.set(place, field.with_type(kind))
    return schema


def of_a_day(requests: pd.DataFrame) -> tuple[pd.DataFrame, date]:
    """The requests of the day in UTC that $MLOPS_DATE says; and that day."""
    days = tables.utc(requests[tables.TIME]).dt.date
    day, exactly = said(os.environ.get("MLOPS_DATE", ""))
    known = days[days <= day]
    if not exactly and not known.empty:
        day = known.max()
    found = requests[days == day]
    if found.empty:
        raise Problem(f"there are no rows of {day}: they go from {days.min()} to {days.max()}")
    return found.reset_index(drop=True), day


def said(text: str) -> tuple[date, bool]:
    """The day that a text says, and whether it is to be that one and none before it."""
    if not text:
        return date.max, False
    with suppress(ValueError):
        return date.fromisoformat(text), True
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).date(), False
    raise Problem(f"{text!r} is no day: type one like 2013-12-30")
