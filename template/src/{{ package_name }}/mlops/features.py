"""Compute the tables that Feast serves: what was known when."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from . import contract, files, ingest, params, tables
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
    sources = contract.features().build(raw, values)
    for name, table in sorted(sources.items()):
        if "event_timestamp" not in table:
            raise Problem(f"features.build: {name} has no column event_timestamp: add it")
        tables.write(table, folder / f"{name}.parquet")
    return dict(sorted(sources.items()))
