"""Rows to explain: local files, and the reference of the model in production."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from .. import files, tables
from ..errors import Problem
from ..registry import predict, reference
from . import model

SOURCES = {
    "test set": (files.DATASET, "test.parquet"),
    "last batch": (files.BATCH / "rows", "*.parquet"),
    "reference": (model.FOLDER, reference.FILE),
}


def sources() -> list[str]:
    """Return the names of the sources that have files.

    Raises:
        Problem: no source has any.
    """
    if names := [name for name in SOURCES if _paths(name)]:
        return names
    raise Problem("there are no rows to explain: type `make pipeline`")


def read(source: str) -> pd.DataFrame:
    """Return the model's inputs from the first row group of each file.

    The result is cached while files and version stay the same: do not modify it.
    """
    paths = _paths(source)
    return _read(paths, max(path.stat().st_mtime for path in paths), model.version())


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the model's inputs alone, validated with the schema that it was registered with.

    Raises:
        Problem: a value violates the schema, or the rows, written by other code, lack a column.
    """
    schema = model.inputs()
    names = [*schema.to_schema().columns]
    if missing := [name for name in names if name not in rows]:
        raise Problem(
            f"these rows have no {', '.join(missing)}, which the model in production takes"
        )
    return tables.check(rows[names], schema, "the row")


def _paths(source: str) -> list[Path]:
    folder, pattern = SOURCES[source]
    return sorted(folder.glob(pattern))


@st.cache_resource(max_entries=len(SOURCES), show_spinner="Reading the rows")
def _read(paths: list[Path], changed: float, version: str) -> pd.DataFrame:
    return typed(_whole(paths))


def full_row(source: str, number: int) -> dict[str, Any]:
    """Return all columns of a row, not only the model's inputs."""
    row = _whole(_paths(source)).loc[number]
    return {str(name): value for name, value in row.items()}


def _whole(paths: list[Path]) -> pd.DataFrame:
    rows = pd.concat([next(predict.groups(path)) for path in paths], ignore_index=True)
    return reference.split(rows)[0] if paths[0].name == reference.FILE else rows
