"""Compute the tables that Feast serves: what was known when."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from . import contract, derive, files, ingest, params, tables
from .errors import Problem


def run() -> None:
    """features.build → data/features/<source>.parquet, the files that feature_repo/ names."""
    raw = ingest.read()
    with files.replacing(files.FEATURES) as folder:
        for name, table in write(raw, section(), folder).items():
            print(f"{name}: {len(table):,} rows x {table.shape[1]} columns")


def section() -> Any:
    """The section `features` of params.yaml."""
    return params.section("features", contract.features().Params)


def write(raw: Mapping[str, pd.DataFrame], values: Any, folder: Path) -> dict[str, pd.DataFrame]:
    """Write a file a source of Feast into `folder`; give the tables."""
    built = contract.features().build(raw, values)
    sources = {name: _taken(built[name], f"features.build: {name}") for name in sorted(built)}
    for name, table in sources.items():
        tables.write(table, folder / f"{name}.parquet")
    return sources


def examples(raw: Mapping[str, pd.DataFrame], values: Any) -> pd.DataFrame:
    """Return the team's examples, their times in UTC, with what features.derive adds.

    Raises:
        Problem: there are none.
    """
    found = _taken(contract.features().examples(raw, values), "features.examples")
    if found.empty:
        raise Problem("features.examples gives no rows: see what data.load and its dates leave")
    return _derived(found)


def requests(raw: Mapping[str, pd.DataFrame], values: Any) -> pd.DataFrame:
    """Return the rows to predict, their times in UTC, with what features.derive adds.

    Raises:
        Problem: there are none, or one has no time, so that it belongs to no day.
    """
    asked = _taken(contract.requests(raw, values), "features.requests")
    if asked.empty:
        raise Problem("features.requests gives no rows: see what data.load and its dates leave")
    if missing := int(asked[tables.TIME].isna().sum()):
        raise Problem(f"features.requests: {missing:,} rows have no {tables.TIME}: leave them out")
    return _derived(asked)


def _derived(rows: pd.DataFrame) -> pd.DataFrame:
    hook = derive.hook()
    return _taken(derive.apply(rows, hook), "features.derive") if hook else rows


def _taken(table: Any, source: str) -> pd.DataFrame:
    taken = tables.taken(table, source, timed=True)
    tables.check_names(taken, source, ignore_case=True)  # DuckDB and Delta do
    return taken
