"""MLflow: one run and one registered version a model, both found by the model's digest.

A stage that DVC skips needs to hand no run id on, and doing a thing twice changes nothing.
"""

import os
import posixpath
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import files, params
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
AT_ONCE = 1_000
"""Metrics that MLflow takes by one call."""


@contextmanager
def connected() -> Iterator[Any]:
    """Give MLflow's client.

    Raises:
        Problem: MLflow does not answer, or refuses.
    """
    uri = settings().tracking_uri
    # What MLflow's own database layer warns of is not for the reader of a pipeline's log.
    warnings.filterwarnings("ignore", module="mlflow|sqlalchemy")
    from mlflow.exceptions import MlflowException

    try:
        yield _client(uri)
    except MlflowException as error:
        reason = str(error).strip().splitlines()[0][:300]
        line = (
            f"MLflow at {uri} does not do its part: {reason};"
            " check MLFLOW_TRACKING_URI, or tracking-uri in pyproject.toml"
        )
        raise Problem(re.sub(r"//[^/@\s]+@", "//", line)) from None  # no password in a log


def _client(uri: str) -> Any:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        return mlflow.MlflowClient()
    except (ImportError, OSError) as error:  # a driver is not installed, a folder cannot be made
        raise MlflowException(str(error) or type(error).__name__) from error


def environment() -> dict[str, str]:
    """This process's environment, with MLflow's address made absolute."""
    return {**os.environ, "MLFLOW_TRACKING_URI": settings().tracking_uri}


def experiment(client: Any) -> str:
    """Give the experiment of this model; a store in the repo keeps its artifacts beside it."""
    name, uri = settings().model_name, settings().tracking_uri
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    local = uri.startswith("sqlite:///")
    place = Path(uri.removeprefix("sqlite:///")).with_name("artifacts").as_uri() if local else None
    return str(client.create_experiment(name, artifact_location=place))


def record(**tags: str) -> str:
    """Give the run of the model in model/ its tags and what reports/ says; make it, if new."""
    digest = files.digest(files.MODEL)
    with connected() as client:
        found = client.search_runs(
            [experiment(client)], f"tags.model_digest = '{digest}' and tags.complete = 'yes'"
        )
        run = str(found[0].info.run_id) if found else _new_run(client, digest)
        scores = flat(files.read_json(files.METRICS))
        log(client, run, [metric(name, value) for name, value in scores.items()])
        client.log_artifacts(run, str(files.REPORTS), "reports")
        for name, value in tags.items():
            client.set_tag(run, name, value)
    return run


def _new_run(client: Any, digest: str) -> str:
    run = client.create_run(
        experiment(client), run_name=digest[:12], tags={**origin(), "model_digest": digest}
    ).info.run_id
    for name, value in flat(params.recorded()).items():
        client.log_param(run, name, value)
    client.set_tag(run, "complete", "yes")
    client.set_terminated(run)
    return str(run)


def log(client: Any, run: str, metrics: Sequence[Any]) -> None:
    """Log any number of metrics."""
    for start in range(0, len(metrics), AT_ONCE):
        client.log_batch(run, metrics[start : start + AT_ONCE])


def metric(name: str, value: float, step: int = 0) -> Any:
    """Give a metric of MLflow's; a name that it does not take, as `recall@10`, is recall_10.

    It takes no name of over 250 characters, nor one that is not short as a path, as `a//b`.
    """
    from mlflow.entities import Metric

    known_as = re.sub(r"[^\w\-./ ]", "_", name)[:250]
    if known_as.startswith(("/", "..")) or posixpath.normpath(known_as) != known_as:
        known_as = re.sub(r"[./]", "_", known_as) or "_"
    return Metric(known_as, float(value), timestamp=int(time.time() * 1000), step=step)


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give the leaves of a tree by their dotted names."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value
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
    """Bring a registered version's files into `folder`."""
    with connected():
        import mlflow.artifacts

        uri = f"models:/{version.name}/{version.version}"
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder / "model")))
