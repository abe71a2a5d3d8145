"""What git says of the repo; nothing where there is no git."""

import subprocess
from contextlib import suppress
from pathlib import Path


def git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where `root` is no work tree of its own, or git cannot read it."""
    if not (root / ".git").exists():
        return None
    with suppress(FileNotFoundError):
        result = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
        if result.returncode == 0:
            return result.stdout
    return None


def sha(root: Path) -> str:
    """The commit, with `-dirty` where tracked files differ from it; "" without git.

    dvc.lock does not count: the pipeline writes it before it registers.
    """
    head = git(root, "rev-parse", "HEAD")
    paths = (".", ":(exclude,glob)**/dvc.lock")
    changed = git(root, "status", "--porcelain", "--untracked-files=no", "--", *paths)
    return head.strip() + ("-dirty" if changed else "") if head else ""
