"""`make adopt` adds the template to an existing repo; neither it nor later updates lose a line."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Git = Callable[..., str]
Adopt = Callable[..., subprocess.CompletedProcess[str]]

THEIRS = {
    "README.md": "# Our model\n",
    "Makefile": "all:\n\techo ours\n",
    "pyproject.toml": '[project]\nname = "ours"\nversion = "7"\n',
    "pipelines/dvc.yaml": "stages: {}\n",
    "data of ours.csv": "a,b\n1,2\n",
}


@pytest.fixture
def origin(template: Path, git: Git, tmp_path: Path) -> Path:
    """The remote repository of the template, which updates are fetched from."""
    git(tmp_path, "clone", "--quiet", str(template), str(tmp_path / "origin"))
    return tmp_path / "origin"


@pytest.fixture
def adopt(origin: Path, git: Git, tmp_path: Path) -> Adopt:
    """Run the script of a checkout of the template."""
    git(tmp_path, "clone", "--quiet", str(origin), str(tmp_path / "checkout"))
    (tmp_path / "answers.yml").write_text("{}\n")

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        script = str(tmp_path / "checkout" / "hooks" / "adopt.py")
        command = [
            sys.executable,
            "-B",
            script,
            str(folder),
            "--answers",
            str(tmp_path / "answers.yml"),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def repo(git: Git, origin: Path, tmp_path: Path) -> Path:
    """An existing repo; one of its files equals the template's, and one is a link."""
    repo = tmp_path / "our repo"
    same = {"docker/Dockerfile": (origin / "template" / "docker" / "Dockerfile").read_text()}
    for name, text in (THEIRS | same).items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)
    (repo / "dvc.yaml").symlink_to("pipelines/dvc.yaml")
    git(repo, "init", "--quiet")
    _commit(repo, git)
    return repo


def _commit(repo: Path, git: Git) -> None:
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Work")


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_nothing_is_overwritten(
    adopt: Adopt, repo: Path, git: Git, render: Callable[..., Path]
) -> None:
    before = _tree(repo)
    done = adopt(repo)
    assert done.returncode == 0, done.stderr
    after, fresh = _tree(repo), _tree(render({}))
    assert after.items() >= before.items()
    assert (repo / "dvc.yaml").is_symlink()
    assert after.keys() == before.keys() | fresh.keys()
    new = after.keys() - before.keys() - {".copier-answers.yml"}
    assert {name: after[name] for name in new} == {name: fresh[name] for name in new}
    assert git(repo, "diff", "HEAD") == ""


def test_files_that_differ_are_listed_with_a_diff_command(
    adopt: Adopt, repo: Path, git: Git, render: Callable[..., Path]
) -> None:
    commands = re.findall(r"^ +git (diff \w+ -- \S+)$", adopt(repo).stdout, re.MULTILINE)
    names = {command.split()[-1] for command in commands}
    assert names == {"README.md", "Makefile", "pyproject.toml", "dvc.yaml"}
    fresh = _tree(render({}))
    for command in commands:
        diff = git(repo, *command.split())
        name = command.split()[-1]
        minus = [line[1:] for line in diff.splitlines() if re.match(r"-(?!--)", line)]
        assert set(minus) <= set(fresh[name].decode().splitlines())
        assert minus


def test_a_later_update_merges_without_losing_lines(
    adopt: Adopt, repo: Path, origin: Path, git: Git
) -> None:
    adopt(repo)
    _commit(repo, git)
    for name in ("Makefile", "dvc.yaml", "docker/Dockerfile"):
        with (origin / "template" / name).open("a") as file:
            file.write("# a later release\n")
    (origin / "template" / "later.txt").write_text("later\n")
    _commit(origin, git)
    git(origin, "tag", "v1000.0.0")
    command = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, text in THEIRS.items():
        assert set(text.splitlines()) <= set((repo / name).read_text().splitlines()), name
    assert (repo / "dvc.yaml").readlink() == Path("pipelines/dvc.yaml")
    assert (repo / "docker" / "Dockerfile").read_text().endswith("# a later release\n")
    assert (repo / "later.txt").read_text() == "later\n"
    assert (repo / "README.md").read_text() == THEIRS["README.md"]
    changed = git(repo, "diff", "--name-only", "-z").split("\0")[:-1]
    assert set(changed) == {".copier-answers.yml", "Makefile", "docker/Dockerfile"}


def test_files_ignored_by_the_repos_rules_are_reported(adopt: Adopt, repo: Path, git: Git) -> None:
    (repo / ".gitignore").write_text("*.json\n")
    _commit(repo, git)
    done = adopt(repo)
    [command] = re.findall(r"^ +git add --all && (git add --force .*) && ", done.stdout, re.M)
    assert "orchestration/pipelines.json" in command
    git(repo, *command.split()[1:])
    assert git(repo, "ls-files", "--others", "--ignored", "--exclude-standard") == ""


def _no_repo(repo: Path, git: Git) -> None:
    (repo / ".git").rename(repo.parent / "elsewhere")


def _change(repo: Path, git: Git) -> None:
    (repo / "README.md").write_text("changed\n")


def _untracked(repo: Path, git: Git) -> None:
    (repo / "new.txt").write_text("new\n")


def _answers(repo: Path, git: Git) -> None:
    (repo / ".copier-answers.yml").write_text("_src_path: x\n")
    _commit(repo, git)


def _ignored(repo: Path, git: Git) -> None:
    (repo / ".gitignore").write_text("/params.yaml\n")
    _commit(repo, git)
    (repo / "params.yaml").write_text("secret: 1\n")


def _folder(repo: Path, git: Git) -> None:
    (repo / "params.yaml").mkdir()
    (repo / "params.yaml" / "one.yaml").write_text("a: 1\n")
    _commit(repo, git)


def _file(repo: Path, git: Git) -> None:
    (repo / "deploy").write_text("#!/bin/sh\n")
    _commit(repo, git)


def _link(repo: Path, git: Git) -> None:
    (repo.parent / "outside").mkdir()
    (repo / "deploy").symlink_to("../outside")
    _commit(repo, git)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_repo, "is not a git repository"),
        (_change, "has uncommitted changes"),
        (_untracked, "has uncommitted changes"),
        (_answers, "copier update"),
        (_ignored, "add --force params.yaml"),
        (_folder, "params.yaml is a folder"),
        (_file, "deploy is a file"),
        (_link, "deploy is a link"),
    ],
)
def test_an_unsuitable_repo_is_refused_and_left_unchanged(
    adopt: Adopt, repo: Path, git: Git, spoil: Callable[[Path, Git], None], message: str
) -> None:
    spoil(repo, git)
    before = _tree(repo.parent)
    done = adopt(repo)
    assert done.returncode == 1
    assert done.stderr.startswith("make adopt: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert _tree(repo.parent) == before


def test_a_missing_folder_is_refused(adopt: Adopt, tmp_path: Path) -> None:
    done = adopt(tmp_path / "nowhere")
    assert done.returncode == 1
    assert "make new" in done.stderr
    assert not (tmp_path / "nowhere").exists()
