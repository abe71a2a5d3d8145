"""The commit that the repo's files are of."""

from pathlib import Path

from .git import ask


def sha(root: Path) -> str:
    """The commit, with `-dirty` where tracked files of the repo differ from it; "" without git.

    dvc.lock does not count: the pipeline writes it before it registers.
    """
    head = ask(root, "rev-parse", "--verify", "--quiet", "HEAD")
    paths = (".", ":(exclude,glob)**/dvc.lock")
    changed = ask(root, "status", "--porcelain", "--untracked-files=no", "--", *paths)
    return head.strip() + ("-dirty" if changed else "") if head else ""
