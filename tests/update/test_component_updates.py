"""A component is turned off and on again by one command; the tree is that of a fresh copy."""

from collections.abc import Callable
from pathlib import Path

import copier
import pytest

ALL = ["batch", "stream", "dashboard"]
# What an update leaves: the team's, and what `make graph` writes anew.
LEFT = ("README.md", "orchestration/pipelines.json")


@pytest.mark.parametrize("chosen", [[], ["batch"], ["stream"], ["dashboard"]], ids="+".join)
def test_off_and_on_again(
    render: Callable[..., Path], git: Callable[..., str], chosen: list[str]
) -> None:
    repo, fresh = render({}), render({"components": chosen})
    before = _tree(repo)
    git(repo, "init", "--quiet")
    for components, wanted in ((chosen, _tree(fresh)), (ALL, before)):
        git(repo, "add", "--all")
        git(repo, "commit", "--quiet", "--message", "Before")
        copier.run_update(
            repo,
            {"components": components},
            defaults=True,
            overwrite=True,
            quiet=True,
            unsafe=False,
        )
        assert _tree(repo) == wanted | {name: before[name] for name in LEFT}


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
