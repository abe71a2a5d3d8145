"""The pipelines of ../pipelines.json, in the form that the workflow takes."""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Stage:
    """One node of a pipeline; `timeout` in seconds, `resources` in Kubernetes' quantities."""

    id: str
    stage: str
    needs: list[str]
    resources: dict[str, str]
    gpu: int
    retries: int
    timeout: int


@dataclass(frozen=True)
class Pipeline:
    """A pipeline's stages in topological order, and the cron line that starts it ("" for none).

    `date` is that of a run by hand; without it, a run is of when its Schedule was to start it.
    """

    name: str
    schedule: str
    stages: list[Stage]
    date: str = ""


@dataclass(frozen=True)
class Call:
    """What the activity gets: the stage, the run that it belongs to, and the run's date."""

    run_id: str
    pipeline: str
    stage: Stage
    date: str = ""

    @property
    def arguments(self) -> list[str]:
        """What `mlops` is called with."""
        return ["stage", self.stage.stage, "--run-id", self.run_id, "--date", self.date]


def pipelines(repo: Path = REPO) -> dict[str, Pipeline]:
    """The repo's pipelines by name; exits with a line where `make graph` has not written them."""
    file = repo / "orchestration/pipelines.json"
    if not file.is_file():
        raise SystemExit(f"no {file}: type `make graph`")
    graphs: dict[str, Any] = json.loads(file.read_text())["pipelines"]
    return {
        name: Pipeline(name, graph["schedule"], [Stage(**stage) for stage in graph["stages"]])
        for name, graph in graphs.items()
    }


def project(repo: Path = REPO) -> str:
    """The project's name."""
    name: str = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["name"]
    return name


def scope(repo: Path = REPO) -> str:
    """Task queue and prefix of every id, on a server that environments and projects share."""
    environment = os.environ.get("MLOPS_ENVIRONMENT")
    return f"{project(repo)}.{environment}" if environment else project(repo)
