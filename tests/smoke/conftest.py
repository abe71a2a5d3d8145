"""Fixtures of the smoke tests: repos that are set up and trained with a developer's commands."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from repos import Repo

COVERING = (
    "airflow-classification",
    "kubeflow-anomaly",
    "argo-regression",
    "temporal-text",
    "temporal-forecast",
)
"""Scenarios that cover every engine and every model type; $SCENARIO is another one, or `all`."""

ROOT = Path(__file__).parents[2]
SCENARIOS: dict[str, dict[str, str]] = {
    file.stem: yaml.safe_load(file.read_text()) for file in sorted(ROOT.glob("scenarios/*.yml"))
}
WANTED = os.environ.get("SCENARIO", "")
CHOSEN = [*SCENARIOS] if WANTED == "all" else [WANTED] if WANTED else [*COVERING]


def pytest_configure() -> None:
    """Refuse an unknown scenario."""
    if WANTED not in {"", "all", *SCENARIOS}:
        raise pytest.UsageError(f"SCENARIO={WANTED} is not one of {', '.join(SCENARIOS)}, all")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Run all tests that share a scenario's repo in one worker."""
    own = Path(__file__).parent
    for item in items:
        if not item.path.is_relative_to(own) or item.get_closest_marker("xdist_group"):
            continue
        if "scenario" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group(str(item.callspec.params["scenario"])))


@pytest.fixture(scope="session", params=CHOSEN)
def scenario(request: pytest.FixtureRequest) -> dict[str, str]:
    """Answers of a scenario; tests that use it run once per chosen scenario."""
    return SCENARIOS[request.param]


@pytest.fixture(scope="session")
def whole(scenario: dict[str, str]) -> bool:
    """True if all tests of the repo run, rather than only those of its model type."""
    return scenario["model_type"] == "classification" or bool(WANTED)


@pytest.fixture(scope="session")
def first(scenario: dict[str, str]) -> Callable[[str], bool]:
    """Return True if no earlier scenario has the same answer to a question."""

    def is_first(question: str) -> bool:
        same = (name for name in CHOSEN if SCENARIOS[name][question] == scenario[question])
        return SCENARIOS[next(same)] == scenario

    return is_first


@pytest.fixture(scope="session")
def once(scenario: dict[str, str]) -> None:
    """Skip the test in all scenarios except one."""
    if scenario != {"model_type": "classification", "orchestrator": "airflow"}:
        pytest.skip("runs in one scenario only; the modules are the same in all")


@pytest.fixture(scope="session")
def tree(scenario: dict[str, str], render: Callable[..., Path]) -> Path:
    """The scenario's repo; in one session with other tests, theirs must not stand in for it."""
    return render(scenario)


@pytest.fixture(scope="session")
def repo(tree: Path, need: Callable[[str], str], git: Callable[..., str]) -> Repo:
    """The scenario's repo, committed and set up."""
    for tool in ("uv", "make"):
        need(tool)
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "Start")
    repo = Repo(tree, dict(os.environ))
    assert repo.run("make", "setup").code == 0
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "Lock")
    return repo


@pytest.fixture(scope="session")
def trained(repo: Repo, scenario: dict[str, str], shared: Path) -> Repo:
    """The scenario's repo after `make pipeline`, which one worker runs for all workers."""
    copy = shared / "-".join(("trained", *scenario.values()))
    with copy.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if copy.exists():
            shutil.copytree(copy, repo.folder, dirs_exist_ok=True, symlinks=True)
        else:
            assert repo.run("make", "pipeline").code == 0
            ignored = shutil.ignore_patterns(".venv*", ".*_cache", "__pycache__")
            shutil.copytree(repo.folder, copy, ignore=ignored, symlinks=True)
    return repo


RESULTS = (".mlflow", ".dvc/cache", ".dvc/tmp", "data", "model", "dvc.lock", "batch/dvc.lock")


@pytest.fixture
def variant(trained: Repo, tmp_path: Path) -> Callable[[bool], Repo]:
    """Copy the trained repo, with or without its data and registry, for a test that changes it."""

    def copy(with_results: bool) -> Repo:
        caches = shutil.ignore_patterns(".venv*", ".*_cache", "__pycache__")
        results = set() if with_results else {trained.folder / name for name in RESULTS}

        def ignored(parent: str, names: list[str]) -> set[str]:
            return {*caches(parent, names)} | {x for x in names if Path(parent, x) in results}

        folder = tmp_path / "variant"
        shutil.copytree(trained.folder, folder, ignore=ignored, symlinks=True)
        binaries = trained.folder / ".venv" / "bin"
        return Repo(
            folder,
            trained.env
            | {
                "PATH": f"{binaries}:{trained.env['PATH']}",
                # Use the trained repo's environment with the copy's code.
                "PYTHONPATH": str(folder / "src"),
                "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/.mlflow/mlflow.db",
            },
        )

    return copy


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[Any, str], None]:
    """Save a screenshot of a page to $PICTURES; the documentation uses these screenshots."""
    folder = Path(os.environ.get("PICTURES", tmp_path))

    def take(page: Any, name: str) -> None:
        page.mouse.move(0, 0)
        page.wait_for_timeout(1_000)  # for animations to end
        page.screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size < 200_000

    return take
