"""MLflow: one run and one registered version per model, both found by the model's digest.

So stages need not pass a run id on, even if DVC skips some, and running one again changes nothing.
"""

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from .. import files, params
from ..errors import Problem
from ..settings import settings
from ..vcs.git import sha
from . import database, mlflow_errors, mlflow_names

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Report an unreachable HTTP store within seconds: MLflow's default is to retry for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

METRICS_AT_ONCE, PARAMS_AT_ONCE = 1_000, 100
"""MLflow's limits per call."""
JUDGING = ("evaluate", "gate")
"""Sections with which a model is judged. It may be judged again with other values, but MLflow does
not change a run's parameters, so `register` stores them with the verdict."""


@contextmanager
def connected() -> Iterator["MlflowClient"]:
    """Yield MLflow's client.

    Raises:
        Problem: MLflow does not respond or refuses; with the reason and, if known, a remedy.
    """
    uri = settings().tracking_uri
    # Warnings of MLflow's database layer would only clutter a pipeline's log.
    warnings.filterwarnings("ignore", module="mlflow|sqlalchemy")
    try:
        yield _client(uri)
    except Problem:
        raise
    except Exception as error:
        if problem := mlflow_errors.problem(error, uri):
            raise problem from error
        raise


def _client(uri: str) -> "MlflowClient":
    """Create the client; lock a database file, create its tables and update its paths first.

    MLflow creates the tables on first use, and fails if two processes do so at once.
    """
    try:
        import mlflow

        file = database.file(uri)
        with database.alone(file) if file else nullcontext():
            if file:
                database.follow(file)
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
            client = mlflow.MlflowClient()
            if file:
                client.search_experiments(max_results=1)
                client.search_registered_models(max_results=1)
    except (ImportError, OSError) as error:  # no driver, or the folder cannot be created
        reason = str(error) or type(error).__name__
        raise mlflow_errors.line(reason, uri, mlflow_errors.ADDRESS) from error
    return client


def environment() -> dict[str, str]:
    """Return this process's environment, with MLflow's address made absolute."""
    return {**os.environ, "MLFLOW_TRACKING_URI": settings().tracking_uri}


def experiment(client: "MlflowClient") -> str:
    """Return the id of this model's experiment; create it if needed.

    The artifacts of a database file are stored beside it.

    Raises:
        Problem: the experiment was deleted.
    """
    from mlflow.exceptions import MlflowException

    name, file = settings().model_name, database.file(settings().tracking_uri)
    existing = client.get_experiment_by_name(name)
    if not existing:
        location = database.artifacts(file) if file else None
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another process may have created it
            existing = client.get_experiment_by_name(name)
            if not existing:
                raise
    if existing.lifecycle_stage != "active":
        raise Problem(
            f"the experiment {name} is deleted in MLflow: to restore it with its runs, type"
            ' `MLFLOW_TRACKING_URI="$(uv run mlops settings tracking_uri)"'
            f" uv run mlflow experiments restore --experiment-id {existing.experiment_id}`"
        )
    return str(existing.experiment_id)


def create_run(client: "MlflowClient", name: str, tags: dict[str, str]) -> str:
    """Create a run with the status failed, until `client.set_terminated` marks it as complete.

    Otherwise the run of a process that is killed would stay running forever.
    """
    run = str(client.create_run(experiment(client), run_name=name, tags=tags).info.run_id)
    client.set_terminated(run, "FAILED")
    return run


def record(**tags: str) -> str:
    """Log reports/ and tags to the run of model/; create the run if needed, and return its id."""
    digest = files.digest(files.MODEL)
    with connected() as client:
        runs = client.search_runs(
            [experiment(client)], f"tags.model_digest = '{digest}' and tags.complete = 'yes'"
        )
        run = str(runs[0].info.run_id) if runs else _new_run(client, digest)
        log(client, run, flat(files.read_json(files.METRICS)))
        client.log_artifacts(run, str(files.REPORTS), "reports")
        for name, value in tags.items():
            client.set_tag(run, name, value)
        client.set_terminated(run)
    return run


def _new_run(client: "MlflowClient", digest: str) -> str:
    run = create_run(client, digest[:12], {**origin(), "model_digest": digest})
    sections = {name: each for name, each in params.recorded().items() if name not in JUDGING}
    log_params(client, run, flat(sections))
    client.set_tag(run, "complete", "yes")
    return run


def log(client: "MlflowClient", run: str, values: Mapping[str, float], step: int = 0) -> None:
    """Log any number of metrics, with any names."""
    from mlflow.entities import Metric

    names, now = mlflow_names.accepted(values), int(time.time() * 1000)
    metrics = [Metric(names[name], float(value), now, step) for name, value in values.items()]
    for start in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + METRICS_AT_ONCE])


def log_params(client: "MlflowClient", run: str, values: Mapping[str, Any]) -> None:
    """Log any number of parameters, with any names and with values of any length."""
    from mlflow.entities import Param

    names = mlflow_names.accepted(values)
    entities = [Param(names[name], mlflow_names.value(value)) for name, value in values.items()]
    for start in range(0, len(entities), PARAMS_AT_ONCE):
        client.log_batch(run, params=entities[start : start + PARAMS_AT_ONCE])


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a tree by dotted name."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves


def origin() -> dict[str, str]:
    """Return the commit, the engine and the engine's run, for tags."""
    return {
        "git_sha": git_sha(),
        "engine": os.environ.get("MLOPS_ENGINE", "dvc"),
        "engine_run": os.environ.get("MLOPS_RUN_ID", ""),
    }


def git_sha() -> str:
    """Return the repo's commit; in images and in an engine's stages it is $MLOPS_GIT_SHA."""
    return os.environ.get("MLOPS_GIT_SHA") or sha(settings().root) or "unknown"


def is_gone(error: Exception) -> bool:
    """Return whether an MLflow error means that the object does not exist, or no longer exists."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"
