"""Publish a day's predictions in a Delta table: readers see the old ones or the new ones."""

from collections.abc import Iterator
from datetime import date
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from . import files, production, rows, score
from .errors import Problem
from .settings import settings

PUBLISHED = files.BATCH / "published.json"


def run() -> None:
    """data/batch/ → the day's part of the table of predictions; doing it again replaces it."""
    about, model = files.read_json(rows.ABOUT), files.read_json(production.ABOUT)
    shards = sorted(path.name for path in rows.ROWS.glob("*.parquet"))
    if missing := [name for name in shards if not (score.SCORES / name).exists()]:
        raise Problem(f"{', '.join(missing)}: not scored; name these shards in batch/dvc.yaml")
    target, day = settings().predictions, date.fromisoformat(about["date"])
    fixed = {"model_version": str(model["version"]), "date": day}
    parts = chain.from_iterable(groups(name, about["columns"], fixed) for name in shards)
    first = next(parts)
    try:
        write_deltalake(
            target,
            pa.RecordBatchReader.from_batches(first.schema, chain([first], parts)),
            mode="overwrite",
            predicate=f"date = '{day}'",
            partition_by=["date"],
            schema_mode="merge",
        )
    except (DeltaError, OSError) as error:
        raise Problem(
            f"{target} does not take the predictions: {' '.join(str(error).split())[:200]};"
            " if it cannot be written, set MLOPS_PREDICTIONS to what can, as s3://bucket/predictions"
        ) from None
    files.write_json(PUBLISHED, {**about, **model, "table": DeltaTable(target).version()})
    print(f"{day}: {about['rows']:,} predictions of version {model['version']} are in {target}")


def groups(shard: str, columns: list[str], fixed: dict[str, object]) -> Iterator[pa.RecordBatch]:
    """Give these columns of the shard's rows beside their predictions, by row groups."""
    with pq.ParquetFile(rows.ROWS / shard) as asked, pq.ParquetFile(score.SCORES / shard) as scored:
        for number in range(asked.num_row_groups):
            table = asked.read_row_group(number, columns)
            predictions = scored.read_row_group(number)
            for name in predictions.column_names:
                table = table.append_column(name, predictions[name])
            for name, value in fixed.items():
                table = table.append_column(name, pa.repeat(pa.scalar(value), len(table)))
            yield from table.combine_chunks().to_batches()
