"""The first commands of a team work in every scenario."""

import json
import os
from collections.abc import Callable

import pytest
from repos import Repo

PLATFORM = (
    "batch",
    "dashboard",
    "doctor",
    "monitoring",
    "registry",
    "release",
    "runner",
    "serving/test_http.py",
    "serving/test_lookups.py",
    "serving/test_materialize.py",
    "test_crash.py",
    "test_errors.py",
    "test_notebooks.py",
    "test_params.py",
    "test_tables.py",
    "training",
)
"""Platform tests that hardly depend on the model type."""
SERVICE = "same_numbers"
"""The service tests that do."""


def test_lint(repo: Repo) -> None:
    if not os.environ.get("SCENARIO"):
        pytest.skip("this checkout's lint has the modules of all types; test_ci_jobs.py the rest")
    assert repo.run("make", "lint").code == 0


def test_unit_tests(repo: Repo, whole: bool, first: Callable[[str], bool]) -> None:
    if not first("model_type"):
        pytest.skip("runs in another scenario; the modules are the same")
    own = ["tests", *(f"--ignore=tests/platform/{path}" for path in PLATFORM)]
    own += ["-k", f"not test_serving or {SERVICE}"]
    command = ["make", "test"] if whole else ["uv", "run", "--frozen", "pytest", *own]
    # This session has as many workers as the machine can use.
    assert repo.run(*command, PYTEST_XDIST_AUTO_NUM_WORKERS="1").code == 0


def test_help_shows_the_main_targets(repo: Repo) -> None:
    output = repo.run("make").output
    for target in ("setup", "pipeline", "report", "ui", "test", "lint", "graph", "update"):
        assert f"make {target} " in output


def test_pipeline_registers_a_model(trained: Repo) -> None:
    registered = json.loads((trained.folder / "reports" / "registered.json").read_text())
    assert registered["version"] == 1
    report = (trained.folder / "reports" / "report.html").read_text()
    scores = json.loads((trained.folder / "reports" / "metrics.json").read_text())
    for model in ("model", *scores["baselines"]):
        assert f"<th>{model}</th>" in report


def test_second_run_skips_every_stage(trained: Repo) -> None:
    output = trained.run("make", "pipeline").output
    assert "Running stage" not in output
    assert output.count("didn't change, skipping") == len(
        trained.run(".venv/bin/dvc", "stage", "list", "--name-only").output.split()
    )


def test_plots_are_drawn(trained: Repo) -> None:
    assert trained.run("make", "report").code == 0
    plots = (trained.folder / "reports" / "plots" / "index.html").read_text()
    for curve in (trained.folder / "reports" / "curves").iterdir():
        assert f"reports_curves_{curve.stem}_csv" in plots


def test_the_repo_is_clean_afterwards(trained: Repo) -> None:
    """Only the lock files of the pipelines are untracked; git ignores all other results."""
    lines = trained.run("git", "status", "--porcelain").output.splitlines()
    assert "?? dvc.lock" in lines
    assert {*lines} <= {"?? dvc.lock", "?? batch/dvc.lock", "?? stream/dvc.lock"}
