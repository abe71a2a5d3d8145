"""Load the raw tables; a row that breaks the schema stops the pipeline here."""

from collections.abc import Mapping

import pandas as pd

from .. import contract, files, params, tables
from ..errors import Problem


def run() -> None:
    """data.load → validation by schema.RAW → data/raw/<table>.parquet.

    Raises:
        Problem: data/raw contains a file that this stage did not write; nothing is deleted.
    """
    if files.unknown(files.RAW):
        from ..runner import outs

        outs.check(files.RAW)
    with files.replacing(files.RAW) as folder:
        for name, table in load().items():
            tables.write(table, folder / f"{name}.parquet")
            print(f"{name}: {len(table):,} rows x {table.shape[1]} columns")


def load() -> dict[str, pd.DataFrame]:
    """Load and check the raw tables; return them in the form that `read` does.

    Raises:
        Problem: data.load and schema.RAW have different tables, or rows break their schema.
    """
    data, schema = contract.data(), contract.schema()
    raw = data.load(params.section("data", data.Params))
    if not isinstance(raw, Mapping):
        raise Problem(f"data.load returns a {type(raw).__name__}: return a dict of tables by name")
    if unmatched := sorted(set(schema.RAW) ^ set(raw)):
        raise Problem(
            f"data.load returns {sorted(raw)} and schema.RAW names {sorted(schema.RAW)}:"
            f" make them agree on {', '.join(unmatched)}"
        )
    checked = {name: tables.check(raw[name], schema.RAW[name], name) for name in sorted(raw)}
    return {name: tables.stored(table, name) for name, table in checked.items()}


def read() -> dict[str, pd.DataFrame]:
    """Return the raw tables that `run` wrote, by name."""
    return {path.stem: tables.read(path) for path in sorted(files.RAW.glob("*.parquet"))}
