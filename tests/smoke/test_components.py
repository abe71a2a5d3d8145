"""Repos without some component: their types, their verbs and what the engine reads hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from repos import Repo

pytestmark = pytest.mark.usefixtures("once")

VERBS = {
    "batch": {"rows", "score", "publish", "drift", "batch", "monitor"},
    "stream": {"serve", "materialize"},
    "dashboard": {"dashboard"},
}


@pytest.mark.parametrize(
    "chosen",
    [[], ["stream"], ["batch", "dashboard"]],
    ids=lambda names: "+".join(names) or "none",
)
def test_a_repo_without_the_others(
    repo: Repo, scenario: dict[str, Any], render: Callable[..., Path], chosen: list[str]
) -> None:
    folder = render({**scenario, "components": chosen})
    binaries = repo.folder / ".venv" / "bin"
    path = f"{binaries}:{repo.env['PATH']}"
    made = Repo(folder, repo.env | {"PATH": path, "PYTHONPATH": str(folder / "src")})
    assert made.run("mlops", "graph", "--check").code == 0
    assert made.run("mypy", "src").code == 0
    for component, verbs in VERBS.items():
        for verb in verbs:
            said = made.run("mlops", verb, "--help")
            assert (said.code == 0) == (component in chosen), verb
