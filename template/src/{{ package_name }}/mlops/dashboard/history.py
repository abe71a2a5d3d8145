"""What MLflow knows of every model that reached the gate, passed or not."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from .. import tracking
from ..errors import Problem
from ..settings import settings

SECONDS = 30
"""How long an answer of MLflow's counts as new."""
COLUMNS = ["rule", "value", "min", "max", "broken"]
"""What is known of a rule of the gate."""


@st.cache_data(ttl=SECONDS, show_spinner="Asking MLflow")
def runs() -> pd.DataFrame:
    """Return one row per model, the latest first; `version` is empty where none was registered.

    Models with the same `data` were judged on the same test rows: only their metrics compare.

    Raises:
        Problem: no model has been recorded yet.
    """
    with tracking.connected() as client:
        made = client.search_runs([tracking.experiment(client)], "tags.complete = 'yes'")
        versions = _versions(client)
    if not made:
        raise Problem("no model has been trained yet: type `make pipeline`")
    rows = [_row(run, *versions.get(run.info.run_id, ("", [], ""))) for run in made]
    return pd.DataFrame(rows).sort_values("trained", ascending=False, ignore_index=True)


def _row(run: Any, version: str, aliases: list[str], data: str) -> dict[str, Any]:
    tags = run.data.tags
    return {
        "version": version,
        "aliases": aliases,
        "trained": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC"),
        "gate": tags.get("gate", "not reached"),
        "commit": tags.get("git_sha", "")[:12],
        "engine": tags.get("engine", ""),
        # An older platform tagged its versions alone, and by the whole dataset.
        "data": tags.get("test_rows") or data or run.info.run_id,
        "run": run.info.run_id,
        **run.data.metrics,
    }


def _versions(client: Any) -> dict[str, tuple[str, list[str], str]]:
    """Version, aliases and the dataset's digest, by run."""
    name = settings().model_name
    found = client.search_model_versions(f"name = '{name}'")
    aliases: dict[str, list[str]] = {str(item.version): [] for item in found}
    if found:
        for alias, version in client.get_registered_model(name).aliases.items():
            aliases[str(version)].append(alias)
    return {
        item.run_id: (
            str(item.version),
            sorted(aliases[str(item.version)]),
            item.tags.get("data_digest", ""),
        )
        for item in found
    }


@st.cache_data(show_spinner="Fetching the gate's verdicts", ttl=SECONDS)
def verdicts(run: str) -> pd.DataFrame:
    """Return the gate's rules for a run; the bounds are empty where an older release judged."""
    with tracking.connected():
        import mlflow.artifacts

        text = mlflow.artifacts.load_text(f"runs:/{run}/reports/gate.json")
    return pd.DataFrame(json.loads(text)["rules"], columns=COLUMNS)
