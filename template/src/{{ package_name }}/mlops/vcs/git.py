"""Run git with output that does not depend on the user's settings and variables.

Standard library only, like update.py.
"""

import os
import re
import subprocess
from pathlib import Path

from ..errors import Problem

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
"""Override the user's settings, so that output can be parsed."""

DIRTY = "-dirty"
"""Suffix of the commit if the working tree differs from it."""
NOT_THE_MODEL = ("**/dvc.lock", "**/*.md", "deploy/**", "docs/**", "notebooks/**", "tests/**")

# In a Git hook, these variables point to the hook's repository, which may be another one.
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
    """Return the environment for git, and for programs that call it, with SETTINGS applied."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
    first = int(kept.get("GIT_CONFIG_COUNT") or 0)
    for number, (key, value) in enumerate(SETTINGS.items(), first):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    # English messages, because some are parsed.
    return kept | {"GIT_CONFIG_COUNT": str(first + len(SETTINGS)), "LC_ALL": "C"}


def git(root: Path, *arguments: str, stdin: str = "", **env: str) -> str:
    """Return the output of a git command in the folder `root`.

    Raises:
        Problem: git failed, or is not installed.
    """
    try:
        done = _run(root, arguments, stdin, env)
    except FileNotFoundError:
        raise Problem("git is missing: install git") from None
    if done.returncode:
        raise Problem(f"git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout


def ask(root: Path, *arguments: str) -> str | None:
    """Return the output of a git command; None if it failed, or if `root` is in no repository.

    Raises:
        Problem: git refuses the repository, because another user owns it.
    """
    return _answer(root, arguments) if own(root) or tracked(root) else None


def own(root: Path) -> bool:
    """True if `root` is the top of a work tree, including worktrees and submodules."""
    return (root / ".git").exists()


def tracked(root: Path) -> bool:
    """True if `root` is a folder in a larger repository that tracks its files."""
    return _answer(root, ("ls-files", "--error-unmatch", "--", "pyproject.toml")) is not None


def top(root: Path) -> Path | None:
    """Return the top of the work tree that contains `root`, or None."""
    output = _answer(root, ("rev-parse", "--show-toplevel"))
    return Path(output.rstrip("\n")) if output else None


def sha(root: Path) -> str:
    """Return the commit, with the suffix DIRTY if the repo's files differ from it; "" without git.

    Files that do not affect the model do not count, nor does dvc.lock, which the pipeline writes
    before it registers a model. Untracked files count only where the pipeline may read them.
    """
    head = ask(root, "rev-parse", "--verify", "--quiet", "HEAD")
    others = [f":(exclude,glob){path}" for path in NOT_THE_MODEL]
    changed = ask(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    changed = changed or ask(
        root, "status", "--porcelain", "--untracked-files=all", "--", "src", "feature_repo"
    )
    return head.strip() + (DIRTY if changed else "") if head else ""


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
