"""`make hooks`: what git asks before a commit, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from repos import Repo

pytestmark = pytest.mark.usefixtures("once")

# Made up, and of no use.
SECRET = "aws_access_key_id = AKIA" + "QWERTYUI2345ASDF"
OUTPUT = '"outputs": [{"output_type": "stream", "name": "stdout", "text": ["seen"]}]'
NOTEBOOK = "notebooks/explore.ipynb"


@pytest.fixture
def team(repo: Repo, need: Callable[[str], str], git: Callable[..., str], tmp_path: Path) -> Repo:
    """A clone that asks, with the environment of the repo that is set up."""
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
    return done.code, done.said


def test_good_work_passes(team: Repo) -> None:
    code, said = _commit(team, "src/late_flights/words.py", '"""Words."""\n\nONE = 1\n')
    assert code == 0
    assert said.count("Passed") == 6
    assert "Failed" not in said


@pytest.mark.parametrize(
    ("name", "text", "hook", "said"),
    [
        ("k.txt", f"{SECRET}\n", "secrets", "aws-access-token"),
        ("k.txt", "x" * 600_000, "large-files", "exceeds 500 KB"),
        ("src/late_flights/x.py", '"""X."""\n\nx=1\n', "format", "1 file reformatted"),
        ("src/late_flights/x.py", '"""X."""\n\nx = y\n', "lint", "F821"),
        ("k.txt", "<<<<<<< ours\n", "conflicts", "conflict markers"),
    ],
    ids=["secret", "large", "format", "lint", "conflict"],
)
def test_what_is_wrong_is_refused(team: Repo, name: str, text: str, hook: str, said: str) -> None:
    code, spoken = _commit(team, name, text)
    assert code != 0
    assert f"hook id: {hook}\n" in spoken
    assert spoken.count("hook id:") == 1
    assert said in spoken
    assert SECRET not in spoken


def test_outputs_are_taken_out_of_a_notebook(team: Repo) -> None:
    clean = (team.folder / NOTEBOOK).read_text()
    code, said = _commit(team, NOTEBOOK, clean.replace('"outputs": []', OUTPUT, 1))
    assert code != 0
    assert "hook id: notebooks\n" in said
    assert (team.folder / NOTEBOOK).read_text() == clean


def test_a_stale_graph_is_refused(team: Repo, added: str) -> None:
    code, said = _commit(team, "dvc.yaml", (team.folder / "dvc.yaml").read_text() + added)
    assert code != 0
    assert "hook id: graph\n" in said


def test_a_new_worktree_says_make_setup(team: Repo, git: Callable[..., str]) -> None:
    other = team.folder.with_name("other")
    git(team.folder, "worktree", "add", "--quiet", str(other), "-b", "other")
    code, said = _commit(replace(team, folder=other), "k.txt", "k\n")
    assert code != 0
    assert "make setup" in said
    assert said.count("hook id:") == 1
    # Where uv keeps the environment elsewhere, the hooks look there.
    env = team.env | {"UV_PROJECT_ENVIRONMENT": str(team.folder / ".venv")}
    assert _commit(replace(team, folder=other, env=env), "k.txt", "k\n")[0] == 0
