"""What the tests of updates share: a platform, and a team's repo made of one of its releases."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import copier
import pytest
from releases import HERE
from team import Git, Platform, Team

# Lets through what runs Copier; setting up an environment and its tests are the smoke tests'.
UV = """#!/bin/sh
case "$1 $2" in
  "tool run" | "run --quiet") exec {uv} "$@" ;;
esac
echo "uv $*" >> {log}
[ "$1" != sync ] || mkdir -p .venv
[ "$1 $3" != "run pytest" ] || exit "${{PLATFORM_TESTS:-0}}"
"""


# What the commands of an update need of the platform's modules.
COMMANDS = [
    "__init__",
    "commit",
    "crash",
    "errors",
    "git",
    "propose",
    "request",
    "settings",
    "template",
    "update",
]


@pytest.fixture
def platform(template: Path, git: Git, tmp_path: Path) -> Platform:
    """A template whose latest release is this checkout, less what no update looks into.

    An update renders it again and again, and with half of the files that takes half as long.
    """
    folder = tmp_path / "platform"
    git(tmp_path, "clone", "--quiet", str(template), str(folder))
    modules = folder / "template/src/{{ package_name }}/mlops"
    many = [path for path in modules.rglob("*.py") if path.stem not in COMMANDS]
    many += [*folder.glob("template/tests/platform/test_*"), folder / "template/deploy/chart"]
    git(folder, "rm", "-r", "--quiet", *map(str, many))
    git(folder, "commit", "--quiet", "--message", "Less")
    git(folder, "tag", "--force", HERE)
    return Platform(folder, git)


@pytest.fixture
def start(
    platform: Platform, git: Git, need: Callable[[str], str], tmp_path: Path
) -> Callable[..., Team]:
    """Make a team's repo of these answers, of the platform's latest release or of another."""
    uv, shim = shutil.which(need("uv")), tmp_path / "bin" / "uv"
    need("make")
    shim.parent.mkdir()
    shim.write_text(UV.format(uv=uv, log=tmp_path / "uv.log"))
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)

    def run(ref: str | None = None, **answers: str) -> Team:
        folder = tmp_path / "team"
        copier.run_copy(
            str(platform.folder), folder, answers, vcs_ref=ref, defaults=True, quiet=True
        )
        git(folder, "init", "--quiet")
        team = Team(folder, git, {"PATH": f"{shim.parent}:{os.environ['PATH']}"})
        team.commit()
        return team

    return run
