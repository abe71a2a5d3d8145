"""MLflow: one run and one registered version a model, both found by the model's digest.

A stage that DVC skips needs to hand no run id on, and doing a thing twice changes nothing.
"""

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from . import database, files, mlflow_errors, mlflow_names, params
from .commit import sha
from .errors import Problem
from .settings import settings

# An HTTP store that is away should be named in seconds: MLflow's own default is minutes of retries.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

CHAMPION = "champion"
METRICS_AT_ONCE, PARAMS_AT_ONCE = 1_000, 100
"""What MLflow takes by one call."""
JUDGING = ("evaluate", "gate")
"""Sections by which a model is judged. That may be done anew by others, and MLflow changes no
parameter of a run: `register` keeps those of a verdict beside it."""


@contextmanager
def connected() -> Iterator[Any]:
    """Give MLflow's client.

    Raises:
        Problem: MLflow does not answer, or refuses: why, and what helps where that is known.
    """
    uri = settings().tracking_uri
    # What MLflow's own database layer warns of is not for the reader of a pipeline's log.
    warnings.filterwarnings("ignore", module="mlflow|sqlalchemy")
    try:
        yield _client(uri)
    except Problem:
        raise
    except Exception as error:
        if found := mlflow_errors.problem(error, uri):
            raise found from error
        raise


def _client(uri: str) -> Any:
    """Make the client; a database that is a file is made by one process, and moves with its folder.

    MLflow makes the tables when it is asked first, and fails where two processes do it at once.
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
    except (ImportError, OSError) as error:  # a driver is not installed, a folder cannot be made
        reason = str(error) or type(error).__name__
        raise mlflow_errors.line(reason, uri, mlflow_errors.ADDRESS) from error
    return client


def environment() -> dict[str, str]:
    """This process's environment, with MLflow's address made absolute."""
    return {**os.environ, "MLFLOW_TRACKING_URI": settings().tracking_uri}


def experiment(client: Any) -> str:
    """Return the id of this model's experiment; a database in a file has its artifacts beside it.

    Raises:
        Problem: somebody deleted the experiment.
    """
    from mlflow.exceptions import MlflowException

    name, file = settings().model_name, database.file(settings().tracking_uri)
    found = client.get_experiment_by_name(name)
    if not found:
        place = database.artifacts(file) if file else None
        with suppress(MlflowException):  # another process may be faster
            return str(client.create_experiment(name, artifact_location=place))
        found = client.get_experiment_by_name(name)
    if found.lifecycle_stage != "active":
        raise Problem(
            f"the experiment {name} is deleted in MLflow: to have it back with its runs, type"
            ' `MLFLOW_TRACKING_URI="$(uv run mlops settings tracking_uri)"'
            f" uv run mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return str(found.experiment_id)


def create_run(client: Any, name: str, tags: Mapping[str, str]) -> str:
    """Make a run, which counts as failed until `client.set_terminated` says that it is whole.

    A process can end without a word, and its run would go on for ever.
    """
    run = str(client.create_run(experiment(client), run_name=name, tags=tags).info.run_id)
    client.set_terminated(run, "FAILED")
    return run


def record(**tags: str) -> str:
    """Give the run of the model in model/ its tags and what reports/ says; make it, if new."""
    digest = files.digest(files.MODEL)
    with connected() as client:
        found = client.search_runs(
            [experiment(client)], f"tags.model_digest = '{digest}' and tags.complete = 'yes'"
        )
        run = str(found[0].info.run_id) if found else _new_run(client, digest)
        log(client, run, flat(files.read_json(files.METRICS)))
        client.log_artifacts(run, str(files.REPORTS), "reports")
        for name, value in tags.items():
            client.set_tag(run, name, value)
        client.set_terminated(run)
    return run


def _new_run(client: Any, digest: str) -> str:
    run = create_run(client, digest[:12], {**origin(), "model_digest": digest})
    shaped = {name: its for name, its in params.recorded().items() if name not in JUDGING}
    log_params(client, run, flat(shaped))
    client.set_tag(run, "complete", "yes")
    return run


def log(client: Any, run: str, values: Mapping[str, float], step: int = 0) -> None:
    """Log any number of metrics, whatever they are called."""
    from mlflow.entities import Metric

    names, now = mlflow_names.known_as(values), int(time.time() * 1000)
    metrics = [Metric(names[name], float(value), now, step) for name, value in values.items()]
    for start in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(run, metrics=metrics[start : start + METRICS_AT_ONCE])


def log_params(client: Any, run: str, values: Mapping[str, Any]) -> None:
    """Log any number of parameters, whatever they are called and however long they are."""
    from mlflow.entities import Param

    names = mlflow_names.known_as(values)
    found = [Param(names[name], mlflow_names.value(value)) for name, value in values.items()]
    for start in range(0, len(found), PARAMS_AT_ONCE):
        client.log_batch(run, params=found[start : start + PARAMS_AT_ONCE])


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give the leaves of a tree by their dotted names."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves


def origin() -> dict[str, str]:
    """What started this: the commit, the engine and its run."""
    return {
        "git_sha": git_sha(),
        "engine": os.environ.get("MLOPS_ENGINE", "dvc"),
        "engine_run": os.environ.get("MLOPS_RUN_ID", ""),
    }


def git_sha() -> str:
    """Give the commit of the repo; an image and an engine's stage are told theirs."""
    return os.environ.get("MLOPS_GIT_SHA") or sha(settings().root) or "unknown"


def champion() -> Any | None:
    """Give the registered version that new models are held against, or nothing."""
    name = settings().model_name
    with connected() as client:
        if not client.search_registered_models(f"name = '{name}'"):
            return None
        if CHAMPION not in client.get_registered_model(name).aliases:
            return None
        return client.get_model_version_by_alias(name, CHAMPION)


def download(version: Any, folder: Path) -> Path:
    """Bring a registered version's files into `folder`.

    Raises:
        Problem: they are not there any more.
    """
    target = folder / "model"
    with connected():
        import mlflow.artifacts

        uri = f"models:/{version.name}/{version.version}"
        try:
            mlflow.artifacts.download_artifacts(uri, dst_path=str(target))
        except mlflow.MlflowException as error:
            if not is_gone(error):
                raise
    if not (target / "MLmodel").exists():
        raise Problem(
            f"{version.name} version {version.version} has no files any more: they were deleted"
            " from MLflow; type `make register` to register the model of this repo"
        )
    return target


def is_gone(error: Exception) -> bool:
    """Whether an error of MLflow's says that what was asked for does not exist, or not any more."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"
