"""Predict a table with a registered model and the code that it was registered with.

Usage: `python predict.py MODEL ROWS OUT`, where MODEL is a model folder of MLflow. The script is
standalone, because the package that it imports is the model's. It reads one row group at a time.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml


def main(model: Path, rows: Path, out: Path) -> None:
    """Write one row group of predictions per input row group; `out` is written as a whole."""
    flavor = yaml.safe_load((model / "MLmodel").read_text())["flavors"]["python_function"]
    sys.path.insert(0, str(model / flavor["code"]))
    loaded = importlib.import_module(flavor["loader_module"])._load_pyfunc(model / flavor["data"])
    parts = [predictions(loaded, group) for group in groups(rows)]
    schemas = [part.schema for part in parts]
    if any(schema != schemas[0] for schema in schemas):
        # Groups may differ: integers, floats or nulls only, or other categories.
        plain = [schema.remove_metadata() for schema in map(_without_categories, schemas)]
        schemas = [pa.unify_schemas(plain, promote_options="permissive")]
    part = out.with_name(f".{out.name}.part")
    with pq.ParquetWriter(part, schemas[0]) as writer:
        for each in parts:
            writer.write_table(each.cast(schemas[0]))
    part.replace(out)


def _without_categories(schema: pa.Schema) -> pa.Schema:
    for place, field in enumerate(schema):
        if pa.types.is_dictionary(field.type):
            schema = schema.set(place, field.with_type(field.type.value_type))
    return schema


def predictions(model: Any, rows: pd.DataFrame) -> pa.Table:
    """Return the model's predictions for the rows, in their order.

    Raises:
        ValueError: the predictions have another index than the rows.
    """
    predicted = model.predict(rows)
    if not predicted.index.equals(rows.index):
        raise ValueError(
            f"model.predict returned {len(predicted)} rows for {len(rows)}, with another index"
        )
    return pa.Table.from_pandas(predicted, preserve_index=False)


def groups(rows: Path) -> Iterator[pd.DataFrame]:
    """Yield the rows of a Parquet file by row group."""
    with pq.ParquetFile(rows) as file:
        if not file.num_row_groups:
            yield file.schema_arrow.empty_table().to_pandas()
        for number in range(file.num_row_groups):
            yield file.read_row_group(number).to_pandas()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
