"""The model in production, fetched once per version, and run by the code it was registered with."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import streamlit as st
from pandera.pandas import DataFrameModel

from ..registry import fetch, loading
from .history import SECONDS

# In an image, the repo's folder is read-only.
_SCRATCH = TemporaryDirectory(prefix="mlops-dashboard-")
FOLDER = Path(_SCRATCH.name) / "model"
NAME = "mlops_explained"
"""Name of the package under which its code is imported."""


@st.cache_data(ttl=SECONDS, show_spinner=False)
def version() -> str:
    """Return the number of the version in production."""
    return fetch.find().number


@st.cache_resource(max_entries=1, show_spinner="Fetching the model in production")
def loaded(number: str) -> Any:
    """Fetch the version in production, whose number this is, and return its model."""
    fetch.run(FOLDER)
    return loading.load(FOLDER, NAME)


def inputs() -> type[DataFrameModel]:
    """Return the loaded version's own schema of its inputs."""
    schema: type[DataFrameModel] = import_module(f"{NAME}.schema").Features
    return schema


def explain(model: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the contributions of the features, computed by the version's own code."""
    own = getattr(model, "explain", None)
    # Models of older platforms have no public `explain`.
    parts: pd.DataFrame = own(rows) if own else model._team.explain(model._model, rows)
    return parts


def follow(
    model: Any, before: Mapping[Any, Any], edited: dict[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the edited inputs, with derived inputs updated by the version's own code.

    `context` has all columns of the row. A derived input that was edited directly is kept.
    """
    derive = getattr(model, "derive", lambda: None)()
    if derive is None:
        return edited
    try:
        was, now = (
            derive(pd.DataFrame([{**context, **row}])).iloc[0].to_dict() for row in (before, edited)
        )
    except KeyError:  # the rows lack a column that it needs
        return edited
    return {
        name: now[name] if value == before[name] and now[name] != was[name] else value
        for name, value in edited.items()
    }
