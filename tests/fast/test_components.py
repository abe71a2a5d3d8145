"""Each choice of components is a whole repo, and one that is off leaves no trace."""

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

# The words that name a component: in what people read, only those of the chosen ones may be.
WORDS = {
    "batch": {"batch", "deltalake", "drift"},
    "stream": {"stream", "serve", "serving", "fastapi"},
    "dashboard": {"dashboard", "streamlit", "altair"},
}
PIPELINES = {"batch": "batch", "stream": "materialize"}
SUBSETS = [*chain.from_iterable(combinations(WORDS, size) for size in range(len(WORDS) + 1))]


@pytest.fixture(scope="module", params=SUBSETS, ids=lambda chosen: "+".join(chosen) or "none")
def chosen(request: pytest.FixtureRequest) -> list[str]:
    """The components of a repo."""
    return [*request.param]


@pytest.fixture(scope="module")
def repo(chosen: list[str], render: Callable[..., Path]) -> Path:
    """A repo with these components."""
    return render({"components": chosen})


def test_each_component_has_its_words(questions: dict[str, Any]) -> None:
    assert [*questions["components"]["choices"].values()] == [*WORDS]
    assert questions["components"]["default"] == [*WORDS]


def test_what_is_off_leaves_no_trace(repo: Path, chosen: list[str]) -> None:
    off = set().union(*(words for name, words in WORDS.items() if name not in chosen))
    help_ = subprocess.run(["make"], cwd=repo, capture_output=True, text=True, check=True).stdout
    # Whose a file is does not depend on whether it is there.
    readme = re.sub(
        r"^\| (shared|made by tools) \|.*", "", (repo / "README.md").read_text(), flags=re.M
    )
    read = [help_, (repo / "pyproject.toml").read_text(), readme]
    assert not _words(" ".join(read)) & off
    for path in repo.rglob("*"):
        assert not _words(path.relative_to(repo).as_posix()) & off, path


def test_what_is_on_is_there(repo: Path, chosen: list[str]) -> None:
    verbs = {path.stem for path in repo.glob("src/*/mlops/verbs/[a-z]*.py")}
    assert verbs == {"ci", "release", *(name for name in chosen if _is_built(name))}
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


def test_no_module_imports_what_is_not_there(repo: Path) -> None:
    modules = [*repo.glob("src/**/*.py")]
    assert modules
    for module in modules:
        for wanted in _imported(module):
            assert wanted.with_suffix(".py").exists() or wanted.is_dir(), f"{module}: {wanted}"


@pytest.mark.parametrize("command", [["format", "--check"], ["check"]], ids=" ".join)
def test_ruff_finds_nothing_to_do(repo: Path, command: list[str]) -> None:
    line = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
    done = subprocess.run(line, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _imported(module: Path) -> Iterator[Path]:
    """The modules that relative imports name, without their suffix."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = module.parents[node.level - 1]
            if node.module:
                yield base.joinpath(*node.module.split("."))
            else:
                yield from (base / alias.name for alias in node.names)


def _is_built(component: str) -> bool:
    verbs = Path(__file__).parents[2] / "template/src/{{ package_name }}/mlops/verbs"
    return (verbs / f"{component}.py").exists()


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))
