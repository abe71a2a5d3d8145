"""What git allows: a person's settings, a folder of a larger repository, conflicts in locks."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from team import Git, Platform, Team

OURS = """
[alias]
    status = log
[apply]
    whitespace = fix
[color]
    ui = always
    grep = always
    status = always
[core]
    autocrlf = true
    quotePath = true
    pager = false
    hooksPath = {hooks}
[diff]
    external = false
    mnemonicPrefix = true
    noprefix = true
    relative = false
[fetch]
    prune = true
    pruneTags = true
[format]
    pretty = %%s
[grep]
    lineNumber = true
    fullName = true
    column = true
[init]
    defaultBranch = trunk
[log]
    showSignature = true
    follow = true
[merge]
    conflictStyle = diff3
[push]
    followTags = true
[safe]
    directory = *
[status]
    relativePaths = false
    showUntrackedFiles = no
    branch = true
[submodule]
    recurse = true
"""
HOOKS = ("pre-commit", "post-checkout", "pre-push", "post-commit", "reference-transaction")


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that change what git prints and does, and hooks that fail."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in HOOKS:
        (hooks / name).write_text("#!/bin/sh\necho a hook ran >&2\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "ours").write_text(OURS.format(hooks=hooks))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "ours"))
    monkeypatch.setenv("GIT_PAGER", "false")
    monkeypatch.setenv("LANGUAGE", "de")


@pytest.fixture
def folder(start: Callable[..., Team], git: Git, tmp_path: Path) -> Team:
    """A team's repo that is a folder of a larger one, in which others have changes."""
    team, top = start(), tmp_path / "larger é"
    top.mkdir()
    git(top, "init", "--quiet")
    subprocess.run(["rm", "-rf", team.folder / ".git"], check=True)
    (top / "others.txt").write_text("as committed\n")
    (top / "teams").mkdir()
    team = replace(team, folder=team.folder.rename(top / "teams" / "ours"))
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--message", "Start")
    (top / "others.txt").write_text("changed by others\n")
    return team


def _markers(team: Team, file: str) -> bool:
    return "<<<<<<< before updating" in team.read(file)


def test_a_folder_of_a_larger_repository_is_updated(
    folder: Team, platform: Platform, git: Git, request: pytest.FixtureRequest
) -> None:
    """And given up, whatever a person's settings are; what others change there stays."""
    others = folder.folder.parents[1] / "others.txt"
    platform.edit("template/docker/Dockerfile", "FROM", "# The platform's line.\nFROM")
    platform.edit("template/dvc.yaml", "stages:", "# The platform's line.\nstages:")
    platform.edit("template/.dockerignore", "\n", "\n# The platform's line.\n")
    (platform.folder / "template/.dvcignore").unlink()
    platform.release("999.1.0")
    edited = folder.read("dvc.yaml").replace("stages:", "# Our line.\nstages:", 1)
    (folder.folder / "dvc.yaml").write_text(edited)
    (folder.folder / ".dvcignore").write_text("ours\n")
    git(folder.folder, "commit", "--quiet", "--message", "Ours", ".")
    (folder.folder / "forgotten").touch()
    request.getfixturevalue("ours")
    assert "commit or stash your changes first" in folder.make("update")[1]
    (folder.folder / "forgotten").unlink()

    code, said = folder.make("update")
    assert code != 0
    assert "What 999.1.0 brings." in said
    assert "\n- dvc.yaml: conflict markers; edit dvc.yaml, then type: git add dvc.yaml\n" in said
    assert "git checkout HEAD -- .dvcignore" in said
    assert "\x1b" not in said
    assert "init" not in said
    assert _markers(folder, "dvc.yaml")
    assert "# The platform's line." in folder.read("docker/Dockerfile")
    assert "dvc.yaml\tconflict markers\tedit dvc.yaml" in folder.make("setup")[1]
    (command,) = [line for line in said.splitlines() if line.startswith("To give it up: ")]
    command = command.removeprefix("To give it up: ").replace("git ", "git -c core.hooksPath= ")
    subprocess.run(command, shell=True, cwd=folder.folder, check=True, capture_output=True)
    assert folder.read("dvc.yaml") == edited
    assert "v999.0.0" in folder.read(".copier-answers.yml")
    assert others.read_text() == "changed by others\n"


@pytest.mark.parametrize("ignored", [False, True], ids=["not committed", "ignored"])
def test_no_repository_is_made_inside_of_another(
    folder: Team, git: Git, platform: Platform, ignored: bool
) -> None:
    """Unless that one ignores the folder."""
    platform.release("999.1.0")
    git(folder.folder, "rm", "-r", "--quiet", "--cached", ".")
    if ignored:
        (folder.folder.parent / ".gitignore").write_text("ours\n")
    code, said = folder.make("update")
    assert code != 0
    assert ("git init" in said) == ignored
    assert "git add . && git commit" in said


def _conflict(team: Team, git: Git, **files: tuple[str, str]) -> None:
    """Merge a branch that has other lines in these files."""
    branch = git(team.folder, "branch", "--show-current").strip()
    git(team.folder, "checkout", "--quiet", "-b", "theirs")
    for place, text in enumerate(("theirs", "ours")):
        for name, lines in files.items():
            team.write(name, lines[1 - place])
        if text == "theirs":
            git(team.folder, "checkout", "--quiet", branch)
    command = ["git", "merge", "theirs"]
    assert subprocess.run(command, cwd=team.folder, capture_output=True).returncode


LOCKS = ("uv.lock", "dvc.lock", "batch/dvc.lock", "orchestration/pipelines.json")


def test_what_tools_write_is_taken_of_either_side_and_made_anew(
    start: Callable[..., Team], git: Git
) -> None:
    team = start()
    for name in LOCKS:
        team.write(name, "a line of both\n")
    git(team.folder, "config", "color.ui", "always")
    files = dict.fromkeys(LOCKS, ("ours\n", "theirs\n"))
    _conflict(team, git, **files, **{"docker/Dockerfile": ("ours\n", "theirs\n")})

    # With a file of people's among them, nothing is taken.
    code, said = team.make("pipeline")
    assert code != 0
    assert "docker/Dockerfile\tconflict markers\tedit docker/Dockerfile" in said
    for name, target in zip(LOCKS, ("setup", "pipeline", "pipeline", "graph"), strict=True):
        assert f"{name}\ta conflict in what a tool writes\ttype: make {target}" in said
    assert not team.log()

    (team.folder / "docker/Dockerfile").write_text("both\n")
    git(team.folder, "add", "docker/Dockerfile")
    code, said = team.make("pipeline")
    assert code == 0, said
    assert [team.read(name) for name in LOCKS] == ["ours\n"] * len(LOCKS)
    assert not git(team.folder, "ls-files", "--unmerged")
    steps = [line.removeprefix("uv ") for line in team.log().splitlines()]
    assert steps[0] == "lock"
    assert steps[-1] == "run --frozen dvc repro"
    git(team.folder, "commit", "--quiet", "--message", "Merge")
    assert team.make("pipeline")[0] == 0
    assert team.log().count("uv lock\n") == 1


def test_markers_that_somebody_added_are_no_side(start: Callable[..., Team], git: Git) -> None:
    team = start()
    team.write("dvc.lock", "as committed\n")
    (team.folder / "dvc.lock").write_text("<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n")
    git(team.folder, "add", "dvc.lock")
    assert team.make("pipeline")[0] == 0
    assert team.read("dvc.lock") == "as committed\n"
    team.write("dvc.lock", "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n")
    code, said = team.make("pipeline")
    assert code != 0
    assert "edit dvc.lock" in said
