"""Predict a table with a registered model, by the code that it was registered with.

`python predict.py MODEL ROWS OUT`: MODEL is a folder of MLflow's. It runs by itself, for the
package that it imports is the model's, not the one it lies in. Rows stream through by groups.
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
    """Write the predictions, a row group per row group; `out` is whole or not there."""
    flavor = yaml.safe_load((model / "MLmodel").read_text())["flavors"]["python_function"]
    sys.path.insert(0, str(model / flavor["code"]))
    loaded = importlib.import_module(flavor["loader_module"])._load_pyfunc(model / flavor["data"])
    parts = [predictions(loaded, group) for group in groups(rows)]
    schemas = [part.schema for part in parts]
    if any(schema != schemas[0] for schema in schemas):
        # A group has whole numbers where another has fractions, or nothing, or other categories.
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
    """Return what the model says of the rows, in their order.

    Raises:
        ValueError: it says it of other rows.
    """
    found = model.predict(rows)
    if not found.index.equals(rows.index):
        raise ValueError(f"model.predict gave {len(found)} rows of another index for {len(rows)}")
    return pa.Table.from_pandas(found, preserve_index=False)


def groups(rows: Path) -> Iterator[pd.DataFrame]:
    """Give the rows by row groups, as many at once as their writer put into one."""
    with pq.ParquetFile(rows) as file:
        if not file.num_row_groups:
            yield file.schema_arrow.empty_table().to_pandas()
        for number in range(file.num_row_groups):
            yield file.read_row_group(number).to_pandas()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
