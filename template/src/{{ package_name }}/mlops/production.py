"""The model in production: which version it is, and its files, fetched and checked."""

import os
from pathlib import Path
from typing import Any

from . import artifact, files, reference, tracking
from .errors import Problem
from .settings import settings

MODEL = files.PRODUCTION
ABOUT = MODEL / "about.json"
REFERENCE = MODEL / reference.FILE


def run(target: Path = MODEL) -> None:
    """The version in production → data/batch/model/, or another folder."""
    version = find()
    with files.replacing(target) as folder:
        files.write_json(folder / ABOUT.name, fetch(version, folder))
    print(f"{version.name} version {version.version}")


def find() -> Any:
    """The version that $MLOPS_MODEL_VERSION names, as a release does; else the champion."""
    name, wanted = settings().model_name, os.environ.get("MLOPS_MODEL_VERSION")
    if not wanted:
        if champion := tracking.champion():
            return champion
        raise Problem(
            f"{name} has no version in MLflow yet: type `make pipeline`,"
            " or, where nothing has changed since, `make register`"
        )
    with tracking.connected() as client:
        found = {str(item.version): item for item in client.search_model_versions(f"name='{name}'")}
    if wanted not in found:
        known = ", ".join(sorted(found, key=int)) or "none"
        raise Problem(f"MLOPS_MODEL_VERSION: {name} has no version {wanted}; there are: {known}")
    return found[wanted]


def fetch(version: Any, folder: Path) -> dict[str, Any]:
    """Bring a version into `folder`/model; give its name, version and digest.

    Raises:
        Problem: the files are not those that were registered, or not those that a release names.
    """
    tracking.download(version, folder)
    found = files.digest(artifact.files_of(folder))
    wanted = os.environ.get("MLOPS_MODEL_DIGEST") or version.tags.get("model_digest")
    _check(version, "digest", found, wanted)
    if registered := version.tags.get("code_digest"):
        _check(version, "code", files.digest(artifact.code_of(folder)), registered)
    if (kept := folder / "model" / reference.FILE).exists():
        kept.rename(folder / reference.FILE)
    return {"name": version.name, "version": int(version.version), "model_digest": found}


def _check(version: Any, what: str, found: str, wanted: str | None) -> None:
    if found != wanted:
        raise Problem(
            f"{version.name} version {version.version} has the {what} {found} and not {wanted}:"
            " its files are not those that were registered"
        )
