"""Bring the raw tables in; a row that breaks the schema stops the pipeline here."""

from collections.abc import Mapping

import pandas as pd

from . import contract, files, params, tables
from .errors import Problem


def run() -> None:
    """data.load → checked by schema.RAW → data/raw/<table>.parquet.

    Raises:
        Problem: data/raw holds a file that this stage did not write; it stays there.
    """
    if files.unknown(files.RAW):
        from . import outs  # DVC takes a second to import

        outs.check(files.RAW)
    with files.replacing(files.RAW) as folder:
        for name, table in load().items():
            tables.write(table, folder / f"{name}.parquet")
            print(f"{name}: {len(table):,} rows x {table.shape[1]} columns")


def load() -> dict[str, pd.DataFrame]:
    """Return the raw tables of now, checked, as `read` returns those of `run`.

    Raises:
        Problem: data.load and schema.RAW name different tables, or rows break their schema.
    """
    data, schema = contract.data(), contract.schema()
    raw = data.load(params.section("data", data.Params))
    if not isinstance(raw, Mapping):
        raise Problem(f"data.load gives a {type(raw).__name__}: return the tables by name, a dict")
    if missing := sorted(set(schema.RAW) ^ set(raw)):
        raise Problem(
            f"data.load gives {sorted(raw)} and schema.RAW names {sorted(schema.RAW)}:"
            f" make them agree on {', '.join(missing)}"
        )
    checked = {name: tables.check(raw[name], schema.RAW[name], name) for name in sorted(raw)}
    return {name: tables.stored(table, name) for name, table in checked.items()}


def read() -> dict[str, pd.DataFrame]:
    """The raw tables that `run` wrote."""
    return {path.stem: tables.read(path) for path in sorted(files.RAW.glob("*.parquet"))}
