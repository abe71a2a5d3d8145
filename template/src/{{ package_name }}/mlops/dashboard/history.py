"""All models in MLflow that reached the gate, passed or not."""

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from ..errors import Problem
from ..registry import tracking, versions
from ..registry.versions import ModelVersion
from ..settings import settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SECONDS = 30
"""How long results from MLflow are cached."""
COLUMNS = ["rule", "value", "min", "max", "broken"]
"""Columns of the gate's rules."""


@st.cache_data(ttl=SECONDS, show_spinner="Loading runs from MLflow")
def runs() -> pd.DataFrame:
    """Return one row per model, the latest first; `version` is empty if it was not registered.

    Metrics are comparable only between models with the same `data`, that is the same test rows.

    Raises:
        Problem: no model has been recorded yet.
    """
    with tracking.connected() as client:
        completed = client.search_runs([tracking.experiment(client)], "tags.complete = 'yes'")
        aliases = _aliases(client)
    if not completed:
        raise Problem("no model has been trained yet: type `make pipeline`")
    registered = {version.run_id: version for version in versions.registered().values()}
    rows = [_row(run, registered.get(run.info.run_id), aliases) for run in completed]
    return pd.DataFrame(rows).sort_values("trained", ascending=False, ignore_index=True)


def _row(run: "Run", version: ModelVersion | None, aliases: dict[str, str]) -> dict[str, Any]:
    tags, number = run.data.tags, version.number if version else ""
    return {
        "version": number,
        "aliases": sorted(alias for alias, its in aliases.items() if its == number),
        "trained": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
        "gate": tags.get("gate", "not reached"),
        "commit": tags.get("git_sha", "")[:12],
        "engine": tags.get("engine", ""),
        # Older platforms tagged only versions, with a digest of the whole dataset.
        "data": tags.get("test_rows")
        or (version and version.tags.get("data_digest"))
        or run.info.run_id,
        "run": run.info.run_id,
        **run.data.metrics,
    }


def _aliases(client: "MlflowClient") -> dict[str, str]:
    """Return the number of the version that each alias names."""
    name = settings().model_name
    if not client.search_registered_models(f"name = '{name}'"):
        return {}
    return {alias: str(its) for alias, its in client.get_registered_model(name).aliases.items()}


@st.cache_data(show_spinner="Fetching the gate's verdicts", ttl=SECONDS)
def verdicts(run: str) -> pd.DataFrame:
    """Return the gate's rules for a run; bounds are empty for runs of older releases."""
    with tracking.connected():
        import mlflow.artifacts

        text = mlflow.artifacts.load_text(f"runs:/{run}/reports/gate.json")
    return pd.DataFrame(json.loads(text)["rules"], columns=COLUMNS)
