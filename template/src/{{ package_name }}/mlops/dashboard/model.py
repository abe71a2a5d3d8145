"""The model in production, fetched once a version."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import streamlit as st

from .. import artifact, contract, production
from .history import SECONDS

# In an image the repo's folder cannot be written to.
_SCRATCH = TemporaryDirectory(prefix="mlops-dashboard-")
FOLDER = Path(_SCRATCH.name) / "model"


@st.cache_data(ttl=SECONDS, show_spinner=False)
def version() -> str:
    """The number of the version in production."""
    return str(production.find().version)


@st.cache_resource(max_entries=1, show_spinner="Fetching the model in production")
def loaded(_version: str) -> Any:
    """The version, as the team's load gives it."""
    production.run(FOLDER)
    return contract.model().load(artifact.files_of(FOLDER))
