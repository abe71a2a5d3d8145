"""The pipelines in ../pipelines.json, as arguments of the workflow."""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Stage:
    """One stage of a pipeline; `timeout` in seconds, `resources` as Kubernetes quantities."""

    id: str
    stage: str
    needs: list[str]
    resources: dict[str, str]
    gpu: int
    retries: int
    timeout: int


@dataclass(frozen=True)
class Pipeline:
    """A pipeline: its stages in topological order, and its cron expression ("" for none).

    `date` is set in manual runs; without it, the date of a run is when its Schedule was due.
    """

    name: str
    schedule: str
    stages: list[Stage]
    date: str = ""


@dataclass(frozen=True)
class Call:
    """The argument of the activity: a stage, the run that it belongs to, and the run's date."""

    run_id: str
    pipeline: str
    stage: Stage
    date: str = ""

    @property
    def arguments(self) -> list[str]:
        """The arguments for `mlops`."""
        return ["stage", self.stage.stage, "--run-id", self.run_id, "--date", self.date]


def pipelines(repo: Path = REPO) -> dict[str, Pipeline]:
    """Return the repo's pipelines by name; exit with one line if the file is missing."""
    file = repo / "orchestration/pipelines.json"
    if not file.is_file():
        raise SystemExit(f"no {file}: type `make graph`")
    graphs: dict[str, Any] = json.loads(file.read_text())["pipelines"]
    return {
        name: Pipeline(name, graph["schedule"], [Stage(**stage) for stage in graph["stages"]])
        for name, graph in graphs.items()
    }


def project(repo: Path = REPO) -> str:
    """Return the project's name."""
    name: str = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["name"]
    return name


def scope(repo: Path = REPO) -> str:
    """Return the task queue and prefix of ids: environments and projects may share a server."""
    environment = os.environ.get("MLOPS_ENVIRONMENT")
    return f"{project(repo)}.{environment}" if environment else project(repo)
