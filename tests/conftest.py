"""What the tests share: an isolated machine, a release of this checkout, and repos made from it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import copier
import pytest
import yaml

ROOT = Path(__file__).parents[1]
RELEASE = "v999.0.0"

Answers = dict[str, Any]


@pytest.fixture(scope="session")
def root() -> Path:
    """This checkout."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings of this machine's user out of every test, and git off the network."""
    home = tmp_path_factory.mktemp("home")
    for name, text in {
        "copier.yml": "{}\n",
        # A checkout in a container may belong to somebody else.
        "gitconfig": "[init]\ndefaultBranch = main\n[safe]\ndirectory = *\n",
    }.items():
        (home / name).write_text(text)
    given = {
        "COPIER_SETTINGS_PATH": str(home / "copier.yml"),
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_TERMINAL_PROMPT": "0",
        "DVC_GLOBAL_CONFIG_DIR": str(home),
        "DVC_SYSTEM_CONFIG_DIR": str(home),
        "DVC_NO_ANALYTICS": "true",
    }
    for role in ("AUTHOR", "COMMITTER"):
        given |= {f"GIT_{role}_NAME": "Tests", f"GIT_{role}_EMAIL": "tests@example.com"}
    # Git sets some of these in its hooks; the others would lead to somebody's real server.
    dropped = ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "MLFLOW_TRACKING_URI", "VIRTUAL_ENV"]
    dropped += [name for name in os.environ if name.startswith("MLOPS_")]
    with pytest.MonkeyPatch.context() as patch:
        for name in dropped:
            patch.delenv(name, raising=False)
        for name, value in given.items():
            patch.setenv(name, value)
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
def template(git: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this checkout, with what is not committed yet, as its latest release.

    Copier takes the latest tag, and of a checkout with changes it records a commit that does not
    exist; so both would test something else than the files that lie here.
    """
    clone = tmp_path_factory.mktemp("template") / "clone"
    git(ROOT, "clone", "--quiet", str(ROOT), str(clone))
    git(clone, f"--work-tree={ROOT}", "add", "--all")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Release")
    git(clone, "reset", "--quiet", "--hard")
    git(clone, "tag", RELEASE)
    return clone


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
    scope="session",
    params=sorted(ROOT.glob("scenarios/*.yml")),
    ids=lambda file: file.stem,
)
def scenario(request: pytest.FixtureRequest) -> Answers:
    """The answers of one supported combination; a test that takes it runs for each."""
    answers: Answers = yaml.safe_load(request.param.read_text())
    return answers


@pytest.fixture(scope="session")
def tree(scenario: Answers, render: Callable[..., Path]) -> Path:
    """A repo of the scenario, shared: a test that writes makes a copy."""
    return render(scenario)


@pytest.fixture(scope="session")
def need() -> Callable[[str], str]:
    """Find a tool on the PATH: without it the test is skipped, and fails where `CI` is set."""

    def find(tool: str) -> str:
        if found := shutil.which(tool):
            return found
        reason = f"{tool} is not on the PATH; `make tools` builds helm, argo and temporal"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    return find
