"""Tables: read and written as parquet, and held against the team's schemas."""

from pathlib import Path

import pandas as pd
from pandera.errors import SchemaErrors
from pandera.pandas import DataFrameModel

from .errors import Problem

SHOWN = 10


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table, without its index; the same rows give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)


def read(path: Path) -> pd.DataFrame:
    """Read a table that an earlier stage wrote."""
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise Problem(f"no {path}: type `make pipeline`") from None


def check(table: pd.DataFrame, schema: type[DataFrameModel], name: str) -> pd.DataFrame:
    """Give the table with the schema's types.

    Raises:
        Problem: which rules which rows break, the first ten of them whole.
    """
    try:
        return schema.validate(table, lazy=True)
    except SchemaErrors as error:
        raise Problem(_explain(table, error.failure_cases, schema, name)) from None


def _explain(
    table: pd.DataFrame, failures: pd.DataFrame, schema: type[DataFrameModel], name: str
) -> str:
    rules = (
        failures.groupby(["column", "check"], dropna=False, sort=False)
        .agg(rows=("failure_case", "size"), example=("failure_case", "first"))
        .reset_index()
    )
    lines = [
        f"  {column or 'table'}: {check} broken {rows} times, as by {example!r}"
        for column, check, rows, example in rules.itertuples(index=False)
    ]
    places = pd.to_numeric(failures["index"], errors="coerce").dropna().unique()
    bad = table.loc[table.index.isin(places)]
    if len(bad):
        lines += [f"  the first {min(SHOWN, len(bad))} of {len(bad)} rows:"]
        lines += [f"    {line}" for line in bad.head(SHOWN).to_string().splitlines()]
    title = f"{name} breaks the schema {schema.__name__} (src/…/schema.py):"
    return "\n".join([title, *lines])
