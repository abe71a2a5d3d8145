"""Imports between the parts of a generated repo run downwards, and `make lint` checks it."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("offline")

PARTS = "src/late_flights/mlops"
ROOT_MODULES = 16


@pytest.fixture
def repo(render: Callable[..., Path]) -> Path:
    return render({})


def lint(repo: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter as the repo's Makefile does."""
    script = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(script), "--no-cache", f"{PARTS}/layers.toml"],
        cwd=repo,
        env=os.environ | {"PYTHONPATH": str(repo / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("components", [[], ["batch"], ["stream"], ["dashboard"]])
def test_the_parts_of_each_component_follow_the_layers(
    render: Callable[..., Path], components: list[str]
) -> None:
    done = lint(render({"components": components}))
    assert done.returncode == 0, done.stdout


def test_no_import_is_exempt(repo: Path) -> None:
    config = (repo / PARTS / "layers.toml").read_text()
    assert "ignore_imports" not in config
    assert "exhaustive = true" in config
    assert lint(repo).returncode == 0
    assert len([*(repo / PARTS).glob("*.py")]) <= ROOT_MODULES


def test_an_update_needs_only_the_standard_library(repo: Path) -> None:
    """It must run in a repo whose environment is broken."""
    folder = repo / PARTS
    shared = [folder / f"{name}.py" for name in ("errors", "answers", "crash")]
    for path in [*folder.glob("upgrade/*.py"), *folder.glob("vcs/*.py"), *shared]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            others = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
            assert not others, path


@pytest.mark.parametrize(
    ("module", "line", "named"),
    [
        (
            "data/ingest.py",
            "from ..serving import app",
            "data.ingest -> late_flights.mlops.serving",
        ),
        (
            "batch/score.py",
            "from ..serving import app",
            "batch.score -> late_flights.mlops.serving",
        ),
        ("vcs/git.py", "from .. import settings", "vcs.git -> late_flights.mlops.settings"),
        ("another.py", "", "another"),
        ("doctor/checks.py", "from . import doctor", "doctor"),
    ],
    ids=["upwards", "sideways", "not the standard library", "a module in no layer", "a circle"],
)
def test_a_violation_is_reported(repo: Path, module: str, line: str, named: str) -> None:
    with (repo / PARTS / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint(repo)
    assert done.returncode == 1
    assert named in done.stdout


def test_an_import_of_a_module_that_is_gone_is_reported(repo: Path) -> None:
    """A release that moves modules breaks a team's own imports of them."""
    own = repo / "src/late_flights/own.py"
    own.write_text("from .mlops.gone import thing\nimport elsewhere\n")
    mypy = [str(Path(sys.executable).with_name("mypy")), "--follow-imports=skip", str(own)]
    done = subprocess.run(mypy, cwd=repo, capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "error" in line and "mlops.gone" in line]
    assert "elsewhere" not in done.stdout
