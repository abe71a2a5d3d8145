"""Prepare the rows of one day, with their features as of each row's time, in shards."""

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

from .. import contract, files, tables
from ..data import delta, features, ingest
from ..errors import Problem
from ..settings import settings

ROWS = files.ROWS
ABOUT = ROWS / "about.json"

JOINED = 500_000
"""Rows that the feature join holds in memory at once."""
GROUP = 65_536
"""Rows per row group, which later stages hold in memory at once."""


def run(shards: int) -> None:
    """features.requests of $MLOPS_DATE → Feast's join → data/batch/rows/<shard>.parquet.

    If $MLOPS_DATE is a date, that day is taken. If it is a time, as schedules pass it, the latest
    day with rows up to then is taken; if it is empty, the latest of all.
    """
    raw, values = ingest.load(), features.section()
    requests, day = select_day(features.requests(raw, values))
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
    """Yield the requests with their features, in order and in at least one part per shard."""
    from ..data import feature_store

    schema = contract.schema().Features
    size = min(JOINED, -(-len(requests) // shards))
    with feature_store.opened(sources) as feast:
        for start in range(0, len(requests), size):
            part = feature_store.join(feast, requests.iloc[start : start + size])
            yield tables.check(part, schema, "the rows")


def write(parts: Iterable[pd.DataFrame], folder: Path, shards: int, requests: pd.DataFrame) -> None:
    """Distribute the parts in turn over the shards' files; a shard may be empty.

    All files have the types of the first part; for columns without a value there, the types of the
    whole day's requests.
    """
    paths = [folder / f"{shard}.parquet" for shard in range(shards)]
    first = next(remaining := iter(parts))
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
    """Return the types of the columns; for object columns the whole day is more reliable.

    A column without any value is text.
    """
    schema = pa.Schema.from_pandas(part, preserve_index=False)
    checked = contract.schema().Features.to_schema().columns
    for position, field in enumerate(schema):
        if part[field.name].dtype == object:
            day = pa.array(requests.get(field.name, []), from_pandas=True).type
            types = [field.type, day] if field.name in checked else [day, field.type]
            kind = next((kind for kind in types if not pa.types.is_null(kind)), pa.string())
            schema = schema.set(position, field.with_type(kind))
    return schema


def select_day(requests: pd.DataFrame) -> tuple[pd.DataFrame, date]:
    """Return the requests of the UTC day that $MLOPS_DATE selects, and that day."""
    days = tables.utc(requests[tables.TIME]).dt.date
    day, exactly = parse_day(os.environ.get("MLOPS_DATE", ""))
    earlier = days[days <= day]
    if not exactly and not earlier.empty:
        day = earlier.max()
    selected = requests[days == day]
    if selected.empty:
        raise Problem(f"there are no rows for {day}: the data covers {days.min()} to {days.max()}")
    return selected.reset_index(drop=True), day


def parse_day(text: str) -> tuple[date, bool]:
    """Return the day of a date or time, and True if earlier days must not replace it."""
    if not text:
        return date.max, False
    with suppress(ValueError):
        return date.fromisoformat(text), True
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).date(), False
    raise Problem(f"{text!r} is not a date: type one like 2013-12-30")
