"""The registered versions of this repo's model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ..errors import Problem
from ..settings import settings
from ..vcs.git import DIRTY
from . import tracking

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

CHAMPION = "champion"
"""Alias of the version that `register` made last, with which new models are compared."""


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, as MLflow had it when it was asked."""

    name: str
    number: str
    run_id: str
    source: str
    """URI of its files: `models:/<ID of the logged model>`."""
    tags: Mapping[str, str]
    aliases: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return its name as it stands in messages."""
        return f"{self.name} version {self.number}"

    @property
    def digest(self) -> str | None:
        """Digest of the model's files; None if `register` did not create the version."""
        return self.tags.get("model_digest")

    @property
    def gate(self) -> str:
        """The gate's verdict: "passed", "failed" or "not reached"."""
        return self.tags.get("gate", "not reached")

    @property
    def is_dirty(self) -> bool:
        """True if it was trained from a working tree with uncommitted changes."""
        return self.tags.get("git_sha", "").endswith(DIRTY)


def read(version: "MlflowVersion") -> ModelVersion:
    """Return what MLflow's own entity of a version says."""
    return ModelVersion(
        name=version.name,
        number=str(version.version),
        # Optional in MLflow's types; `register` always sets both.
        run_id=cast(str, version.run_id),
        source=cast(str, version.source),
        tags=dict(version.tags),
        aliases=tuple(sorted(version.aliases)),
    )


def registered() -> dict[str, ModelVersion]:
    """Return all versions by number, newest first; a search in MLflow leaves out their aliases."""
    with tracking.connected() as client:
        versions = [*map(read, client.search_model_versions(f"name = '{settings().model_name}'"))]
    versions.sort(key=lambda version: int(version.number), reverse=True)
    return {version.number: version for version in versions}


def get(number: str) -> ModelVersion:
    """Return a version by its number.

    Raises:
        Problem: there is no such version.
    """
    from mlflow.exceptions import MlflowException

    name = settings().model_name
    with tracking.connected() as client:
        try:
            return read(client.get_model_version(name, number))
        except MlflowException as error:
            if not tracking.is_gone(error) and error.error_code != "INVALID_PARAMETER_VALUE":
                raise
    numbers = ", ".join(reversed(registered())) or "none"
    raise Problem(f"{name} has no version {number} in MLflow; there are: {numbers}")


def champion() -> ModelVersion | None:
    """Return the version with which new models are compared, if there is one."""
    name = settings().model_name
    with tracking.connected() as client:
        if not client.search_registered_models(f"name = '{name}'"):
            return None
        if CHAMPION not in client.get_registered_model(name).aliases:
            return None
        return read(client.get_model_version_by_alias(name, CHAMPION))
