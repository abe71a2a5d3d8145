"""Every scenario: what a team types on its first day works."""

import json
from collections.abc import Callable

import pytest
from repos import Repo

PLATFORM = (
    "batch",
    "crash",
    "dashboard",
    "dashboard_batch",
    "doctor",
    "drift",
    "errors",
    "gate",
    "graph",
    "http",
    "lookups",
    "materialize",
    "notebooks",
    "outs",
    "params",
    "publish",
    "release",
    "report",
    "stage",
    "tables",
    "tracking",
    "tune",
)
"""Tests of the platform that say little of another model type."""
SERVICE = "same_numbers"
"""The tests of the service that say much of one."""


def test_lint(repo: Repo, whole: bool) -> None:
    if not whole:
        pytest.skip("the types' modules are linted where they lie, by this checkout's make lint")
    assert repo.run("make", "lint").code == 0


def test_unit_tests(repo: Repo, whole: bool, first: Callable[[str], bool]) -> None:
    if not first("model_type"):
        pytest.skip("shown in another scenario; the modules are the same")
    own = ["tests", *(f"--ignore=tests/platform/test_{name}.py" for name in PLATFORM)]
    own += ["-k", f"not test_serving or {SERVICE}"]
    command = ["make", "test"] if whole else ["uv", "run", "--frozen", "pytest", *own]
    assert repo.run(*command).code == 0


def test_help_names_every_target(repo: Repo) -> None:
    said = repo.run("make").said
    for target in ("setup", "pipeline", "report", "ui", "test", "lint", "graph", "update"):
        assert f"make {target} " in said


def test_pipeline_registers_a_model(trained: Repo) -> None:
    registered = json.loads((trained.folder / "reports" / "registered.json").read_text())
    assert registered["version"] == 1
    report = (trained.folder / "reports" / "report.html").read_text()
    scores = json.loads((trained.folder / "reports" / "metrics.json").read_text())
    for model in ("model", *scores["baselines"]):
        assert f"<th>{model}</th>" in report


def test_second_run_skips_every_stage(trained: Repo) -> None:
    said = trained.run("make", "pipeline").said
    assert "Running stage" not in said
    assert said.count("didn't change, skipping") == len(
        trained.run(".venv/bin/dvc", "stage", "list", "--name-only").said.split()
    )


def test_plots_are_drawn(trained: Repo) -> None:
    assert trained.run("make", "report").code == 0
    plots = (trained.folder / "reports" / "plots" / "index.html").read_text()
    for curve in (trained.folder / "reports" / "curves").iterdir():
        assert f"reports_curves_{curve.stem}_csv" in plots


def test_the_repo_is_clean_after_all_of_it(trained: Repo) -> None:
    """Only the locks of pipelines are new: nothing that a tool leaves is up for a commit."""
    said = trained.run("git", "status", "--porcelain").said.splitlines()
    assert "?? dvc.lock" in said
    assert {*said} <= {"?? dvc.lock", "?? batch/dvc.lock", "?? stream/dvc.lock"}
