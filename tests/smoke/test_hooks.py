"""`make hooks`: git checks each commit and refuses bad ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from repos import Repo

pytestmark = pytest.mark.usefixtures("once")

# A fake key.
SECRET = "aws_access_key_id = AKIA" + "QWERTYUI2345ASDF"
OUTPUT = '"outputs": [{"output_type": "stream", "name": "stdout", "text": ["seen"]}]'
NOTEBOOK = "notebooks/explore.ipynb"


@pytest.fixture
def team(repo: Repo, need: Callable[[str], str], git: Callable[..., str], tmp_path: Path) -> Repo:
    """A clone with the hooks installed and the environment of the repo."""
    need("gitleaks")
    folder = tmp_path / "team"
    git(tmp_path, "clone", "--quiet", str(repo.folder), str(folder))
    (folder / ".venv").symlink_to(repo.folder / ".venv")
    clone = replace(repo, folder=folder, env=repo.env | {"PRE_COMMIT_HOME": str(tmp_path / "home")})
    assert clone.run(".venv/bin/pre-commit", "install").code == 0
    return clone


def _commit(team: Repo, name: str, text: str) -> tuple[int, str]:
    path = team.folder / name
    path.write_text(text)
    assert team.run("git", "add", "--force", name).code == 0
    done = team.run("git", "commit", "--message", "Work")
    return done.code, done.output


def test_a_good_commit_passes(team: Repo) -> None:
    code, output = _commit(team, "src/late_flights/words.py", '"""Words."""\n\nONE = 1\n')
    assert code == 0
    assert output.count("Passed") == 6
    assert "Failed" not in output


@pytest.mark.parametrize(
    ("name", "text", "hook", "error"),
    [
        ("k.txt", f"{SECRET}\n", "secrets", "aws-access-token"),
        ("k.txt", "x" * 600_000, "large-files", "exceeds 500 KB"),
        ("src/late_flights/x.py", '"""X."""\n\nx=1\n', "format", "1 file reformatted"),
        ("src/late_flights/x.py", '"""X."""\n\nx = y\n', "lint", "F821"),
        ("k.txt", "<<<<<<< ours\n", "conflicts", "conflict markers"),
    ],
    ids=["secret", "large", "format", "lint", "conflict"],
)
def test_a_bad_commit_is_refused(team: Repo, name: str, text: str, hook: str, error: str) -> None:
    code, output = _commit(team, name, text)
    assert code != 0
    assert f"hook id: {hook}\n" in output
    assert output.count("hook id:") == 1
    assert error in output
    assert SECRET not in output


def test_outputs_are_removed_from_a_notebook(team: Repo) -> None:
    clean = (team.folder / NOTEBOOK).read_text()
    code, output = _commit(team, NOTEBOOK, clean.replace('"outputs": []', OUTPUT, 1))
    assert code != 0
    assert "hook id: notebooks\n" in output
    assert (team.folder / NOTEBOOK).read_text() == clean


def test_a_stale_graph_is_refused(team: Repo, added: str) -> None:
    code, output = _commit(team, "dvc.yaml", (team.folder / "dvc.yaml").read_text() + added)
    assert code != 0
    assert "hook id: graph\n" in output


def test_a_new_worktree_asks_for_make_setup(team: Repo, git: Callable[..., str]) -> None:
    other = team.folder.with_name("other")
    git(team.folder, "worktree", "add", "--quiet", str(other), "-b", "other")
    code, output = _commit(replace(team, folder=other), "k.txt", "k\n")
    assert code != 0
    assert "make setup" in output
    assert output.count("hook id:") == 1
    # The hooks also use an environment that uv keeps elsewhere.
    env = team.env | {"UV_PROJECT_ENVIRONMENT": str(team.folder / ".venv")}
    assert _commit(replace(team, folder=other, env=env), "k.txt", "k\n")[0] == 0
