"""What the tests share: an isolated machine, a release of this checkout, and repos made from it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import copier
import jinja2
import pytest
import yaml
from isolation import environment
from releases import Repos, covering, publish

ROOT = Path(__file__).parents[1]

Answers = dict[str, Any]


@pytest.fixture(scope="session")
def root() -> Path:
    """This checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings of this machine's user out of every test, and git off the network."""
    home = tmp_path_factory.mktemp("home")
    given = environment(home)
    # Git sets some of these in its hooks; the others would lead to somebody's real server.
    dropped = ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "MLFLOW_TRACKING_URI", "VIRTUAL_ENV"]
    dropped += [name for name in os.environ if name.startswith("MLOPS_")]
    with pytest.MonkeyPatch.context() as patch:
        for name in dropped:
            patch.delenv(name, raising=False)
        for name, value in given.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Let Jinja compile a text once: Copier makes templates of each path in every render."""
    compile_, kept = jinja2.Environment.compile, {}

    def compile_once(self: jinja2.Environment, source: Any, *place: Any, **options: Any) -> Any:
        if not isinstance(source, str):
            return compile_(self, source, *place, **options)
        syntax = (type(self), *self.extensions, self.block_start_string, self.keep_trailing_newline)
        key = (source, place, *options.items(), syntax)
        if key not in kept:
            kept[key] = compile_(self, source, *place, **options)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", compile_once)
        yield


@pytest.fixture(scope="session")
def added() -> str:
    """A stage that somebody adds to dvc.yaml: it runs everywhere after `make graph`."""
    return """
  summary:
    cmd: cp reports/metrics.json summary.json
    deps:
      - reports/metrics.json
    outs:
      - summary.json
"""


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that this process would make."""

    def refuse(_self: socket.socket, address: object) -> NoReturn:
        raise AssertionError(f"a test without network connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def git(isolated: None) -> Callable[..., str]:
    """Run git in a folder; give what it prints."""

    def run(folder: Path, *arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def template(isolated: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this checkout: its releases are tagged, what lies here is the latest."""
    return publish(ROOT, tmp_path_factory.mktemp("template") / "clone")


@pytest.fixture(scope="session")
def repos(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Repos:
    """The repos that every release made of its scenarios."""
    return Repos(template, tmp_path_factory.mktemp("repos"))


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a repo of these answers, the defaults for the rest, without trust."""

    def run(answers: Answers, source: Path = template) -> Path:
        repo = tmp_path_factory.mktemp("repo") / "repo"
        copier.run_copy(str(source), repo, answers, defaults=True, quiet=True, unsafe=False)
        return repo

    return run


@pytest.fixture(scope="session")
def questions() -> dict[str, Any]:
    """The questions of copier.yml, by name."""
    config = yaml.safe_load((ROOT / "copier.yml").read_text())
    return {name: value for name, value in config.items() if not name.startswith("_")}


@pytest.fixture(scope="session")
def scenarios() -> dict[str, Answers]:
    """The answers of each supported combination, by its name."""
    return {file.stem: yaml.safe_load(file.read_text()) for file in ROOT.glob("scenarios/*.yml")}


@pytest.fixture(
    scope="session", params=covering([file.stem for file in ROOT.glob("scenarios/*.yml")])
)
def scenario(request: pytest.FixtureRequest, scenarios: dict[str, Answers]) -> Answers:
    """The answers of a supported combination; a test that takes it sees each engine and type."""
    return scenarios[request.param]


@pytest.fixture(scope="session")
def tree(scenario: Answers, render: Callable[..., Path]) -> Path:
    """A repo of the scenario, shared: a test that writes makes a copy."""
    return render(scenario)


@pytest.fixture(scope="session")
def need() -> Callable[[str], str]:
    """Find a tool on the PATH: without it the test is skipped, and fails where `CI` is set.

    It is skipped there too where $CI_WITHOUT names it: `.ci/run` could not build it.
    """

    def find(tool: str) -> str:
        if found := shutil.which(tool):
            return found
        reason = f"{tool} is not on the PATH; `make tools kustomize promtool registry` brings it"
        if os.environ.get("CI") and tool not in os.environ.get("CI_WITHOUT", "").split():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return find
