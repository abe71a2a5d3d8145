"""git, asked by a program: settings and variables of a person's do not change what it prints.

Needs Python alone, as update.py does.
"""

import os
import re
import subprocess
from pathlib import Path

from .errors import Problem

SETTINGS = {
    "apply.whitespace": "nowarn",
    "color.ui": "false",
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
    "fetch.prune": "false",
    "log.diffMerges": "off",
    "log.follow": "false",
    "log.showSignature": "false",
    "push.followTags": "false",
    "status.showUntrackedFiles": "normal",
    "submodule.recurse": "false",
}
"""What a program needs, whatever a person has set."""

# A hook's variables are of the repository that git was called in, which may be another.
_OF_A_HOOK = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_EXTERNAL_DIFF",
)


def environment() -> dict[str, str]:
    """Return the variables for a program that calls git, such as Copier, with our SETTINGS."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    first = int(kept.get("GIT_CONFIG_COUNT") or 0)
    for number, (key, value) in enumerate(SETTINGS.items(), first):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    # Its errors in English: some are read.
    return kept | {"GIT_CONFIG_COUNT": str(first + len(SETTINGS)), "LC_ALL": "C"}


def git(root: Path, *arguments: str, stdin: str = "", **env: str) -> str:
    """Return what git prints in the folder `root`.

    Raises:
        Problem: git fails, or is not there.
    """
    try:
        done = _run(root, arguments, stdin, env)
    except FileNotFoundError:
        raise Problem("git is missing: install git") from None
    if done.returncode:
        raise Problem(f"git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout


def ask(root: Path, *arguments: str) -> str | None:
    """Return what git prints; None where it fails, or where `root` is of no repository.

    Raises:
        Problem: git refuses the repository, since it belongs to somebody else.
    """
    return _answer(root, arguments) if own(root) or tracked(root) else None


def own(root: Path) -> bool:
    """Whether `root` is the top of a work tree, be it a worktree's or a submodule's."""
    return (root / ".git").exists()


def tracked(root: Path) -> bool:
    """Whether `root` is a folder of a larger repository, which tracks its files."""
    return _answer(root, ("ls-files", "--error-unmatch", "--", "pyproject.toml")) is not None


def top(root: Path) -> Path | None:
    """Return the top of the work tree that holds `root`; None where there is none."""
    found = _answer(root, ("rev-parse", "--show-toplevel"))
    return Path(found.rstrip("\n")) if found else None


def _answer(root: Path, arguments: tuple[str, ...]) -> str | None:
    try:
        done = _run(root, arguments)
    except FileNotFoundError:
        return None
    if refusal := re.search(r"fatal: (detected dubious ownership.*)", done.stderr, re.DOTALL):
        raise Problem(f"git: {' '.join(refusal[1].split())}")
    return None if done.returncode else done.stdout


def _run(
    root: Path, arguments: tuple[str, ...], stdin: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "--no-pager", *arguments],
        cwd=root,
        env=environment() | (env or {}),
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
