"""Repos that are set up and whose pipeline ran; what a person would type, typed by a test."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from repos import Repo


@pytest.fixture(scope="session")
def repo(tree: Path, need: Callable[[str], str], git: Callable[..., str]) -> Repo:
    """The scenario's repo, committed and set up."""
    for tool in ("uv", "make"):
        need(tool)
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "Start")
    made = Repo(tree, dict(os.environ))
    assert made.run("make", "setup").code == 0
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "Lock")
    return made


@pytest.fixture(scope="session")
def trained(repo: Repo) -> Repo:
    """The scenario's repo after `make pipeline`."""
    assert repo.run("make", "pipeline").code == 0
    return repo


@pytest.fixture
def variant(trained: Repo, tmp_path: Path) -> Callable[[bool], Repo]:
    """Make a copy of the trained repo to break, with its data and its registry or with neither."""

    def copy(with_results: bool) -> Repo:
        kept = [".venv*", ".*_cache", "__pycache__"]
        made = [] if with_results else [".mlflow", "cache", "tmp", "data", "model", "dvc.lock"]
        folder = tmp_path / "variant"
        shutil.copytree(
            trained.folder, folder, ignore=shutil.ignore_patterns(*kept, *made), symlinks=True
        )
        binaries = trained.folder / ".venv" / "bin"
        return Repo(
            folder,
            trained.env
            | {
                "PATH": f"{binaries}:{trained.env['PATH']}",
                # The environment is the trained repo's; the code is the copy's.
                "PYTHONPATH": str(folder / "src"),
                "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/.mlflow/mlflow.db",
            },
        )

    return copy
