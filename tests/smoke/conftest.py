"""Repos that are set up and whose pipeline ran; what a person would type, typed by a test."""

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
"""Every engine and every type; $SCENARIO names another one, or is `all`."""

ROOT = Path(__file__).parents[2]
KNOWN: dict[str, dict[str, str]] = {
    file.stem: yaml.safe_load(file.read_text()) for file in sorted(ROOT.glob("scenarios/*.yml"))
}
WANTED = os.environ.get("SCENARIO", "")
CHOSEN = [*KNOWN] if WANTED == "all" else [WANTED] if WANTED else [*COVERING]


def pytest_configure() -> None:
    """Refuse a scenario that is not there."""
    if WANTED not in {"", "all", *KNOWN}:
        raise pytest.UsageError(f"SCENARIO={WANTED}: this is none of {', '.join(KNOWN)}, all")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Let one worker run what shares a scenario's repo."""
    for item in items:
        if "scenario" in item.fixturenames and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(str(item.callspec.params["scenario"])))


@pytest.fixture(scope="session", params=CHOSEN)
def scenario(request: pytest.FixtureRequest) -> dict[str, str]:
    """The answers of a scenario; a test that takes it runs for each of the chosen."""
    return KNOWN[request.param]


@pytest.fixture(scope="session")
def whole(scenario: dict[str, str]) -> bool:
    """Whether the scenario is run whole, or only what its model type has of its own."""
    return scenario["model_type"] == "classification" or bool(WANTED)


@pytest.fixture(scope="session")
def first(scenario: dict[str, str]) -> Callable[[str], bool]:
    """Tell whether no scenario before this one has the same answer to a question."""

    def of(question: str) -> bool:
        same = (name for name in CHOSEN if KNOWN[name][question] == scenario[question])
        return KNOWN[next(same)] == scenario

    return of


@pytest.fixture(scope="session")
def once(scenario: dict[str, str]) -> None:
    """Skip the test in all scenarios but one."""
    if scenario != {"model_type": "classification", "orchestrator": "airflow"}:
        pytest.skip("shown once; the modules are the same in every scenario")


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
def trained(repo: Repo, scenario: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """The scenario's repo after `make pipeline`, which one worker runs for all of them."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    made = shared / "-".join(("trained", *scenario.values()))
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            shutil.copytree(made, repo.folder, dirs_exist_ok=True, symlinks=True)
        else:
            assert repo.run("make", "pipeline").code == 0
            left = shutil.ignore_patterns(".venv*", ".*_cache", "__pycache__")
            shutil.copytree(repo.folder, made, ignore=left, symlinks=True)
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


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[Any, str], None]:
    """Keep a picture of a page in $PICTURES, where the documentation's come from."""
    folder = Path(os.environ.get("PICTURES", tmp_path))

    def take(page: Any, name: str) -> None:
        page.mouse.move(0, 0)
        page.wait_for_timeout(1_000)  # what moves has come to rest
        page.screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size < 200_000

    return take
