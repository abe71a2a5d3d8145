"""Rows to explain: those that lie here, and those that the model in production was judged on."""

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from .. import files, predict, reference, tables
from ..errors import Problem
from . import model

SOURCES = {
    "test set": (files.DATASET, "test.parquet"),
    "last batch": (files.BATCH / "rows", "*.parquet"),
    "reference": (model.FOLDER, reference.FILE),
}


def sources() -> list[str]:
    """The names of what there is.

    Raises:
        Problem: there is nothing.
    """
    if found := [name for name in SOURCES if _paths(name)]:
        return found
    raise Problem("there are no rows to explain: type `make pipeline`")


def read(source: str) -> pd.DataFrame:
    """Give the model's inputs: the first rows of each file, as many as its writer put in a group.

    The same object comes back while files and version stay as they are: do not write to it.
    """
    paths = _paths(source)
    return _read(paths, max(path.stat().st_mtime for path in paths), model.version())


def typed(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the model's inputs alone, held against the schema that it was registered with.

    Raises:
        Problem: a value breaks it; or the rows, made by other code, lack a column.
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


def asked(source: str, number: int) -> dict[str, Any]:
    """Return all that is known of a row, by column."""
    row = _whole(_paths(source)).loc[number]
    return {str(name): value for name, value in row.items()}


def _whole(paths: list[Path]) -> pd.DataFrame:
    rows = pd.concat([next(predict.groups(path)) for path in paths], ignore_index=True)
    return reference.split(rows)[0] if paths[0].name == reference.FILE else rows
