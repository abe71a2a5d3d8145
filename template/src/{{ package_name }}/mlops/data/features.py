"""Compute the feature tables for Feast, the examples, and the rows to predict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .. import contract, derive, files, params, tables
from ..errors import Problem
from . import ingest


def run() -> None:
    """features.build → data/features/<source>.parquet, the files that feature_repo/ reads."""
    raw = ingest.read()
    with files.replacing(files.FEATURES) as folder:
        for name, table in write(raw, section(), folder).items():
            print(f"{name}: {len(table):,} rows x {table.shape[1]} columns")


def section() -> Any:
    """Return the section `features` of params.yaml."""
    return params.section("features", contract.features().Params)


def write(raw: Mapping[str, pd.DataFrame], values: Any, folder: Path) -> dict[str, pd.DataFrame]:
    """Write one file per Feast source into `folder`; return the tables by source."""
    built = contract.features().build(raw, values)
    sources = {name: _taken(built[name], f"features.build: {name}") for name in sorted(built)}
    for name, table in sources.items():
        tables.write(table, folder / f"{name}.parquet")
    return sources


def examples(raw: Mapping[str, pd.DataFrame], values: Any) -> pd.DataFrame:
    """Return the team's examples with UTC times and the columns of features.derive.

    Raises:
        Problem: there are none.
    """
    rows = _taken(contract.features().examples(raw, values), "features.examples")
    if rows.empty:
        raise Problem(
            "features.examples returns no rows: check data.load and its section of params.yaml"
        )
    return _derived(rows)


def requests(raw: Mapping[str, pd.DataFrame], values: Any) -> pd.DataFrame:
    """Return the rows to predict with UTC times and the columns of features.derive.

    Raises:
        Problem: there are none, or a row has no time and so belongs to no day.
    """
    rows = _taken(contract.requests(raw, values), "features.requests")
    if rows.empty:
        raise Problem(
            "features.requests returns no rows: check data.load and its section of params.yaml"
        )
    if missing := int(rows[tables.TIME].isna().sum()):
        raise Problem(f"features.requests: {missing:,} rows have no {tables.TIME}: drop them")
    return _derived(rows)


def _derived(rows: pd.DataFrame) -> pd.DataFrame:
    hook = derive.hook()
    return _taken(derive.apply(rows, hook), "features.derive") if hook else rows


def _taken(table: object, source: str) -> pd.DataFrame:
    rows = tables.taken(table, source, timed=True)
    tables.check_names(rows, source, ignore_case=True)  # like DuckDB and Delta
    return rows
