"""The versions that the registry has, and whether one may be released."""

import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from . import production, tracking
from .commit import DIRTY
from .errors import Problem
from .release_file import Model
from .settings import settings


def versions() -> dict[str, Any]:
    """The registered versions by their numbers, the newest first."""
    with tracking.connected() as client:
        found = client.search_model_versions(f"name = '{settings().model_name}'")
    ordered = sorted(found, key=lambda version: int(version.version), reverse=True)
    return {str(version.version): version for version in ordered}


def champion() -> str:
    """The number of the version that `register` made the champion last; "" where there is none."""
    found = tracking.champion()
    return str(found.version) if found else ""


def find(number: str) -> Model:
    """A version that may be released.

    Raises:
        Problem: there is no such version, its gate has not passed, or it is not of `register`.
    """
    name, known = settings().model_name, versions()
    if number not in known:
        there = ", ".join(reversed(known)) or "none"
        raise Problem(f"{name} has no version {number} in MLflow; there are: {there}")
    version = known[number]
    if (gate := _gate(version)) != "passed":
        raise Problem(
            f"{name} version {number} has not passed its gate, which is {gate!r}:"
            f" see mlops lineage {number}, and release another"
        )
    try:
        return Model(version=number, digest=version.tags.get("model_digest"))
    except ValidationError:
        raise Problem(
            f"{name} version {number} has no digest in its tag model_digest:"
            " register the model by make pipeline"
        ) from None


def is_dirty(number: str) -> bool:
    """Whether a version was trained from a tree with changes that no commit holds."""
    version = versions().get(number)
    return version is not None and str(version.tags.get("git_sha", "")).endswith(DIRTY)


def check(model: Model) -> str:
    """Hold a version against the registry, down to its bytes; say where it comes from.

    Raises:
        Problem: the version may not be released, or its files are others.
    """
    if (there := find(model.version).digest) != model.digest:
        raise Problem(
            f"MLflow has version {model.version} with the digest {there} and not {model.digest}:"
            f" type mlops promote --to {settings().environments[0]}, which takes what it has"
        )
    version = versions()[model.version]
    print(f"Checking the files of {version.name} version {model.version} ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        production.fetch(version, Path(folder))
    return f"trained from commit {version.tags.get('git_sha', 'unknown')}"


def _gate(version: Any) -> str:
    return str(version.tags.get("gate", "not reached"))
