"""Repos without some components: types are correct, commands and the engine's graph complete."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from repos import Repo

pytestmark = pytest.mark.usefixtures("once")

COMMANDS = {
    "batch": {"rows", "score", "publish", "drift", "batch", "monitor"},
    "stream": {"serve", "materialize"},
    "dashboard": {"dashboard"},
}


@pytest.mark.parametrize(
    "chosen",
    [[], ["stream"], ["batch", "dashboard"]],
    ids=lambda names: "+".join(names) or "none",
)
def test_a_repo_without_some_components_is_complete(
    repo: Repo, scenario: dict[str, Any], render: Callable[..., Path], chosen: list[str]
) -> None:
    folder = render({**scenario, "components": chosen})
    binaries = repo.folder / ".venv" / "bin"
    path = f"{binaries}:{repo.env['PATH']}"
    partial = Repo(folder, repo.env | {"PATH": path, "PYTHONPATH": str(folder / "src")})
    assert partial.run("mlops", "graph", "--check").code == 0
    assert partial.run("mypy", "src").code == 0
    for component, commands in COMMANDS.items():
        for command in commands:
            done = partial.run("mlops", command, "--help")
            assert (done.code == 0) == (component in chosen), command
