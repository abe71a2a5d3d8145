"""Updates and git: personal settings, a folder of a larger repository, conflicts in lock files."""

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
    """Use settings that change git's output and behavior, and hooks that fail."""
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
    """A team's repo in a folder of a larger repository, where others have uncommitted changes."""
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


def test_a_folder_in_a_larger_repository_is_updated(
    folder: Team, platform: Platform, git: Git, request: pytest.FixtureRequest
) -> None:
    """Update and give up with unusual personal settings, without touching the changes of others."""
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

    code, output = folder.make("update")
    assert code != 0
    assert "Changes in 999.1.0." in output
    assert "\n- dvc.yaml: conflict markers; edit dvc.yaml, then type: git add dvc.yaml\n" in output
    assert "git checkout HEAD -- .dvcignore" in output
    assert "\x1b" not in output
    assert "init" not in output
    assert _markers(folder, "dvc.yaml")
    assert "# The platform's line." in folder.read("docker/Dockerfile")
    assert "dvc.yaml\tconflict markers\tedit dvc.yaml" in folder.make("setup")[1]
    (command,) = [line for line in output.splitlines() if line.startswith("To discard it: ")]
    command = command.removeprefix("To discard it: ").replace("git ", "git -c core.hooksPath= ")
    subprocess.run(command, shell=True, cwd=folder.folder, check=True, capture_output=True)
    assert folder.read("dvc.yaml") == edited
    assert "v999.0.0" in folder.read(".copier-answers.yml")
    assert others.read_text() == "changed by others\n"


@pytest.mark.parametrize("ignored", [False, True], ids=["not committed", "ignored"])
def test_no_repository_is_created_inside_another(
    folder: Team, git: Git, platform: Platform, ignored: bool
) -> None:
    """Unless the larger repository ignores the folder."""
    platform.release("999.1.0")
    git(folder.folder, "rm", "-r", "--quiet", "--cached", ".")
    if ignored:
        (folder.folder.parent / ".gitignore").write_text("ours\n")
    code, output = folder.make("update")
    assert code != 0
    assert ("git init" in output) == ignored
    assert "git add . && git commit" in output


def _conflict(team: Team, git: Git, **files: tuple[str, str]) -> None:
    """Merge a branch with conflicting lines in these files."""
    branch = git(team.folder, "branch", "--show-current").strip()
    git(team.folder, "checkout", "--quiet", "-b", "theirs")
    for index, side in enumerate(("theirs", "ours")):
        for name, lines in files.items():
            team.write(name, lines[1 - index])
        if side == "theirs":
            git(team.folder, "checkout", "--quiet", branch)
    command = ["git", "merge", "theirs"]
    assert subprocess.run(command, cwd=team.folder, capture_output=True).returncode


LOCKS = ("uv.lock", "dvc.lock", "batch/dvc.lock", "orchestration/pipelines.json")


def test_conflicting_generated_files_are_regenerated(start: Callable[..., Team], git: Git) -> None:
    team = start()
    for name in LOCKS:
        team.write(name, "a line of both\n")
    git(team.folder, "config", "color.ui", "always")
    files = dict.fromkeys(LOCKS, ("ours\n", "theirs\n"))
    _conflict(team, git, **files, **{"docker/Dockerfile": ("ours\n", "theirs\n")})

    # While a file that people edit is in conflict too, no lock file is resolved.
    code, output = team.make("pipeline")
    assert code != 0
    assert "docker/Dockerfile\tconflict markers\tedit docker/Dockerfile" in output
    for name, target in zip(LOCKS, ("setup", "pipeline", "pipeline", "graph"), strict=True):
        assert f"{name}\ta conflict in a generated file\ttype: make {target}" in output
    assert not team.log()

    (team.folder / "docker/Dockerfile").write_text("both\n")
    git(team.folder, "add", "docker/Dockerfile")
    code, output = team.make("pipeline")
    assert code == 0, output
    assert [team.read(name) for name in LOCKS] == ["ours\n"] * len(LOCKS)
    assert not git(team.folder, "ls-files", "--unmerged")
    steps = [line.removeprefix("uv ") for line in team.log().splitlines()]
    assert steps[0] == "lock"
    assert steps[-1] == "run --frozen dvc repro"
    git(team.folder, "commit", "--quiet", "--message", "Merge")
    assert team.make("pipeline")[0] == 0
    assert team.log().count("uv lock\n") == 1


def test_a_generated_file_with_added_markers_is_restored_or_reported(
    start: Callable[..., Team], git: Git
) -> None:
    team = start()
    team.write("dvc.lock", "as committed\n")
    (team.folder / "dvc.lock").write_text("<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n")
    git(team.folder, "add", "dvc.lock")
    assert team.make("pipeline")[0] == 0
    assert team.read("dvc.lock") == "as committed\n"
    team.write("dvc.lock", "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n")
    code, output = team.make("pipeline")
    assert code != 0
    assert "edit dvc.lock" in output
