"""Changing the engine is one command: it gives the tree of a fresh copy, the team's files kept."""

import itertools
from collections.abc import Callable
from pathlib import Path

import copier
import pytest

ENGINES = ("airflow", "argo", "kubeflow", "temporal")
YOURS = ("README.md", "params.yaml", "src/late_flights/model.py", "feature_repo/definitions.py")


@pytest.mark.parametrize(("before", "after"), [*itertools.permutations(ENGINES, 2)])
def test_from_each_engine_to_each_other(
    render: Callable[..., Path], git: Callable[..., str], before: str, after: str
) -> None:
    repo, fresh = render({"orchestrator": before}), render({"orchestrator": after})
    for name in YOURS:
        with (repo / name).open("a") as file:
            file.write("# the team's line\n")
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Start")
    copier.run_update(
        repo, {"orchestrator": after}, defaults=True, overwrite=True, quiet=True, unsafe=False
    )
    for name in YOURS:
        assert (repo / name).read_text() == (fresh / name).read_text() + "# the team's line\n"
        (repo / name).write_bytes((fresh / name).read_bytes())
    assert _tree(repo) == _tree(fresh)


def test_engines_are_those_that_are_asked_for(questions: dict[str, dict[str, object]]) -> None:
    choices = questions["orchestrator"]["choices"]
    assert isinstance(choices, dict)
    assert set(choices.values()) == set(ENGINES)


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
