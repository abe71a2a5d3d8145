"""Registered versions that may be released, checked against the registry."""

import tempfile
from pathlib import Path

from pydantic import ValidationError

from ..errors import Problem
from ..registry import fetch, versions
from ..settings import settings
from .manifest import Model


def find(number: str) -> Model:
    """Return a version that may be released.

    Raises:
        Problem: there is no such version, its gate has not passed, or it has no digest.
    """
    version = versions.get(number)
    if version.gate != "passed":
        raise Problem(
            f"the gate of {version} is {version.gate!r}, not 'passed':"
            f" see mlops lineage {number}, and release another version"
        )
    try:
        return Model(version=number, digest=version.digest or "")
    except ValidationError:
        raise Problem(
            f"{version} has no digest in its tag model_digest:"
            " type make pipeline to register the model"
        ) from None


def check(model: Model) -> str:
    """Compare a version and its files with the registry; return the commit it was trained from.

    Raises:
        Problem: the version may not be released, or its digest or files differ.
    """
    if (registered := find(model.version).digest) != model.digest:
        raise Problem(
            f"MLflow has version {model.version} with the digest {registered}, not {model.digest}:"
            f" type mlops promote --to {settings().environments[0]}, which takes it from MLflow"
        )
    version = versions.get(model.version)
    print(f"Checking the files of {version} ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        fetch.fetch(version, Path(folder))
    return f"trained from commit {version.tags.get('git_sha', 'unknown')}"
