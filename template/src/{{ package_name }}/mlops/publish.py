"""Publish a day's predictions in a Delta table: readers see the old ones or the new ones."""

from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from . import delta, files, production, rows, score
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

    def parts() -> Iterator[pa.Table]:
        for name in shards:
            yield from groups(name, about["columns"], fixed)

    fitting = delta.Fitting(delta.opened(target))
    for part in parts():
        for name in part.column_names:
            fitting.add(name, part[name])
    try:
        if widened := fitting.widen():
            print(f"{target}: {', '.join(widened)} widened, all days rewritten")
        write_deltalake(
            target,
            delta.stream(pa.schema(fitting.types.items()), parts()),
            mode="overwrite",
            predicate=f"date = '{day}'",
            partition_by=["date"],
            schema_mode="merge",
        )
    except (DeltaError, OSError) as error:
        raise delta.refused(target, error) from None
    predictions = pq.read_schema(score.SCORES / shards[0]).names
    requests, said = delta.names(about["columns"], predictions)
    names = {"requests": requests, "predictions": said}
    version = DeltaTable(target).version()
    files.write_json(PUBLISHED, {**about, **model, "names": names, "table": version})
    print(f"{day}: {about['rows']:,} predictions of version {model['version']} are in {target}")


def groups(shard: str, columns: list[str], fixed: dict[str, object]) -> Iterator[pa.Table]:
    """Return these columns of the shard's rows beside their predictions, by row groups.

    Their names are those of `delta.names`.
    """
    with pq.ParquetFile(rows.ROWS / shard) as asked, pq.ParquetFile(score.SCORES / shard) as scored:
        requests, predictions = delta.names(columns, scored.schema_arrow.names, fixed)
        for number in range(asked.num_row_groups):
            given, said = asked.read_row_group(number, columns), scored.read_row_group(number)
            found = {requests[name]: given[name] for name in columns}
            found |= {predictions[name]: said[name] for name in said.column_names}
            found |= {n: pa.repeat(pa.scalar(value), len(given)) for n, value in fixed.items()}
            yield pa.table(found)
