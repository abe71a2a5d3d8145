"""Publish one day's predictions to a Delta table; readers see either the old or the new ones."""

from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from .. import files
from ..data import delta
from ..errors import Problem
from ..registry import fetch
from ..settings import settings
from . import rows, score

PUBLISHED = files.BATCH / "published.json"


def run() -> None:
    """data/batch/ → the day's partition of the predictions table, replacing an older one."""
    about, model = files.read_json(rows.ABOUT), files.read_json(fetch.ABOUT)
    shards = sorted(path.name for path in rows.ROWS.glob("*.parquet"))
    if missing := [name for name in shards if not (score.SCORES / name).exists()]:
        raise Problem(f"{', '.join(missing)}: not scored; list these shards in batch/dvc.yaml")
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
        raise delta.access_problem(target, error) from None
    columns = pq.read_schema(score.SCORES / shards[0]).names
    requests, predictions = delta.names(about["columns"], columns)
    names = {"requests": requests, "predictions": predictions}
    version = DeltaTable(target).version()
    files.write_json(PUBLISHED, {**about, **model, "names": names, "table": version})
    print(f"{day}: {about['rows']:,} predictions of version {model['version']} are in {target}")


def groups(shard: str, columns: list[str], fixed: dict[str, object]) -> Iterator[pa.Table]:
    """Yield these columns of a shard's rows with the predictions, one table per row group.

    The columns are renamed by `delta.names`; those in `fixed` have the same value in each row.
    """
    rows_path, scores_path = rows.ROWS / shard, score.SCORES / shard
    with pq.ParquetFile(rows_path) as inputs, pq.ParquetFile(scores_path) as scores:
        requests, predictions = delta.names(columns, scores.schema_arrow.names, fixed)
        for number in range(inputs.num_row_groups):
            group, scored = inputs.read_row_group(number, columns), scores.read_row_group(number)
            table = {requests[name]: group[name] for name in columns}
            table |= {predictions[name]: scored[name] for name in scored.column_names}
            table |= {n: pa.repeat(pa.scalar(value), len(group)) for n, value in fixed.items()}
            yield pa.table(table)
