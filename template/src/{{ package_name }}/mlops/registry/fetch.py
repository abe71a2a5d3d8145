"""Find the model version in production, and download and check its files."""

import os
from pathlib import Path
from typing import Any

from .. import files
from ..errors import Problem
from ..settings import settings
from . import loading, reference, tracking, versions
from .versions import ModelVersion

MODEL = files.PRODUCTION
ABOUT = MODEL / "about.json"
REFERENCE = MODEL / reference.FILE


def run(target: Path = MODEL) -> None:
    """Fetch the version in production into data/batch/model/, or into another folder."""
    version = find()
    with files.replacing(target) as folder:
        files.write_json(folder / ABOUT.name, fetch(version, folder))
    print(version)


def find() -> ModelVersion:
    """Return the version that $MLOPS_MODEL_VERSION names, as a release does, or else the champion.

    Raises:
        Problem: there is no such version, or no version at all.
    """
    name, number = settings().model_name, os.environ.get("MLOPS_MODEL_VERSION")
    if not number:
        if champion := versions.champion():
            return champion
        raise Problem(
            f"{name} has no version in MLflow yet: type `make pipeline`,"
            " or, if nothing has changed since the last run, `make register`"
        )
    try:
        return versions.get(number)
    except Problem as problem:
        raise Problem(f"MLOPS_MODEL_VERSION: {problem}") from None


def fetch(version: ModelVersion, folder: Path) -> dict[str, Any]:
    """Download a version into `folder`/model; return its name, version and digest.

    Raises:
        Problem: the files are not those that were registered, or that a release names.
    """
    download(version, folder)
    actual = files.digest(loading.files_of(folder))
    expected = os.environ.get("MLOPS_MODEL_DIGEST") or version.digest
    _check(version, "digest", actual, expected)
    if registered := version.tags.get("code_digest"):
        _check(version, "code", files.digest(loading.code_of(folder)), registered)
    if (sample := folder / "model" / reference.FILE).exists():
        sample.rename(folder / reference.FILE)
    return {"name": version.name, "version": int(version.number), "model_digest": actual}


def download(version: ModelVersion, folder: Path) -> Path:
    """Download a registered version's files into `folder`/model, and return that folder.

    Raises:
        Problem: the files no longer exist.
    """
    target = folder / "model"
    with tracking.connected():
        import mlflow.artifacts

        uri = f"models:/{version.name}/{version.number}"
        try:
            mlflow.artifacts.download_artifacts(uri, dst_path=str(target))
        except mlflow.MlflowException as error:
            if not tracking.is_gone(error):
                raise
    if not (target / "MLmodel").exists():
        raise Problem(
            f"{version} has no files any more: they were deleted"
            " from MLflow; type `make register` to register the model of this repo"
        )
    return target


def _check(version: ModelVersion, part: str, actual: str, expected: str | None) -> None:
    if actual != expected:
        raise Problem(
            f"{version} has the {part} {actual}, not {expected}:"
            " its files are not those that were registered"
        )
