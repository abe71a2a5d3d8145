"""Predict a table with a registered model, by the code that it was registered with.

`python predict.py MODEL ROWS OUT`: MODEL is a folder of MLflow's. It runs by itself, for the
package that it imports is the model's, not the one it lies in. Rows stream through by groups.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml


def main(model: Path, rows: Path, out: Path) -> None:
    """Write the predictions, a row group a row group; `out` is whole or not there."""
    flavor = yaml.safe_load((model / "MLmodel").read_text())["flavors"]["python_function"]
    sys.path.insert(0, str(model / flavor["code"]))
    loaded = importlib.import_module(flavor["loader_module"])._load_pyfunc(model / flavor["data"])
    part = out.with_name(f".{out.name}.part")
    writer = None
    for group in groups(rows):
        table = pa.Table.from_pandas(loaded.predict(group), preserve_index=False)
        writer = writer or pq.ParquetWriter(part, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
        part.replace(out)


def groups(rows: Path) -> Iterator[pd.DataFrame]:
    """Give the rows by row groups, as many at once as their writer put into one."""
    with pq.ParquetFile(rows) as file:
        if not file.num_row_groups:
            yield file.schema_arrow.empty_table().to_pandas()
        for number in range(file.num_row_groups):
            yield file.read_row_group(number).to_pandas()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
