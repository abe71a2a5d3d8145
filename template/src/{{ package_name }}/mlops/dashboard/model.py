"""The model in production, fetched once a version, and run by the code it was registered with."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import streamlit as st
from pandera.pandas import DataFrameModel

from .. import artifact, production
from .history import SECONDS

# In an image the repo's folder cannot be written to.
_SCRATCH = TemporaryDirectory(prefix="mlops-dashboard-")
FOLDER = Path(_SCRATCH.name) / "model"
NAME = "mlops_explained"
"""The package that its code becomes."""


@st.cache_data(ttl=SECONDS, show_spinner=False)
def version() -> str:
    """The number of the version in production."""
    return str(production.find().version)


@st.cache_resource(max_entries=1, show_spinner="Fetching the model in production")
def loaded(number: str) -> Any:
    """The version of this number, as MLflow loads it: another number is another model."""
    production.run(FOLDER)
    return artifact.load(FOLDER, NAME)


def inputs() -> type[DataFrameModel]:
    """What the version that is loaded takes: its own schema's Features."""
    found: type[DataFrameModel] = import_module(f"{NAME}.schema").Features
    return found


def explain(model: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """The contributions, by the version's own code; an older platform's says it less openly."""
    own = getattr(model, "explain", None)
    found: pd.DataFrame = own(rows) if own else model._team.explain(model._model, rows)
    return found


def follow(
    model: Any, before: Mapping[Any, Any], edited: dict[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return edited inputs with what the version's own code derives from them.

    `asked` is what else is known of the row. An input that was edited itself stays as it is.
    """
    derive = getattr(model, "derive", lambda: None)()
    if derive is None:
        return edited
    try:
        was, now = (
            derive(pd.DataFrame([{**asked, **row}])).iloc[0].to_dict() for row in (before, edited)
        )
    except KeyError:  # these rows have not all that it needs
        return edited
    return {
        name: now[name] if value == before[name] and now[name] != was[name] else value
        for name, value in edited.items()
    }
