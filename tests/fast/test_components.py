"""Each choice of components renders a complete repo without traces of the components left out."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.usefixtures("offline")

# Words that name a component: help, README, pyproject.toml and paths may only contain those of the
# chosen components.
WORDS = {
    "batch": {"batch", "deltalake", "drift"},
    "stream": {"stream", "serve", "serving", "fastapi"},
    "dashboard": {"dashboard", "streamlit", "altair"},
}
PIPELINES = {"batch": "batch", "stream": "materialize"}
FOLDERS = {"batch": ["batch", "monitoring"], "stream": ["serving"], "dashboard": ["dashboard"]}
SUBSETS = [*chain.from_iterable(combinations(WORDS, size) for size in range(len(WORDS) + 1))]


@pytest.fixture(scope="module", params=SUBSETS, ids=lambda chosen: "+".join(chosen) or "none")
def chosen(request: pytest.FixtureRequest) -> list[str]:
    """Names of the chosen components."""
    return [*request.param]


@pytest.fixture(scope="module")
def repo(chosen: list[str], render: Callable[..., Path]) -> Path:
    """A repo with these components."""
    return render({"components": chosen})


def test_words_are_listed_for_every_component(questions: dict[str, Any]) -> None:
    assert [*questions["components"]["choices"].values()] == [*WORDS]
    assert questions["components"]["default"] == [*WORDS]


def test_components_left_out_leave_no_trace(repo: Path, chosen: list[str]) -> None:
    off = set().union(*(words for name, words in WORDS.items() if name not in chosen))
    help_ = subprocess.run(["make"], cwd=repo, capture_output=True, text=True, check=True).stdout
    # The table of ownership lists files whether or not they exist.
    readme = re.sub(
        r"^\| (shared|made by tools) \|.*", "", (repo / "README.md").read_text(), flags=re.M
    )
    texts = [help_, (repo / "pyproject.toml").read_text(), readme]
    assert not _words(" ".join(texts)) & off
    for path in repo.rglob("*"):
        assert not _words(path.relative_to(repo).as_posix()) & off, path


def test_chosen_components_are_complete(repo: Path, chosen: list[str]) -> None:
    folders = {path.parent.name for path in repo.glob("src/*/mlops/*/commands.py")}
    assert folders & {*chain(*FOLDERS.values())} == {*chain(*(FOLDERS[name] for name in chosen))}
    pipelines = json.loads((repo / "orchestration/pipelines.json").read_text())["pipelines"]
    settings = tomllib.loads((repo / "pyproject.toml").read_text())["tool"]["mlops"]["pipelines"]
    assert (
        pipelines.keys()
        == settings.keys()
        == {
            "training",
            *(name for component, name in PIPELINES.items() if component in chosen),
        }
    )
    for name in pipelines:
        assert (repo / settings[name]["file"]).exists()
    answers = yaml.safe_load((repo / ".copier-answers.yml").read_text())
    assert answers["components"] == chosen


def test_all_imported_modules_exist(repo: Path) -> None:
    modules = [*repo.glob("src/**/*.py")]
    assert modules
    for module in modules:
        for path in _imported(module):
            assert path.with_suffix(".py").exists() or path.is_dir(), f"{module}: {path}"


@pytest.mark.parametrize("command", [["format", "--check"], ["check"]], ids=" ".join)
def test_ruff_finds_nothing(repo: Path, command: list[str]) -> None:
    line = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
    done = subprocess.run(line, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _imported(module: Path) -> Iterator[Path]:
    """Yield the paths of modules that a module imports relatively, without their suffix."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = module.parents[node.level - 1]
            if node.module:
                yield base.joinpath(*node.module.split("."))
            else:
                yield from (base / alias.name for alias in node.names)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))
