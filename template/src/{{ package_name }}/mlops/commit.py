"""The commit that the repo's files are of."""

from pathlib import Path

from .git import ask

DIRTY = "-dirty"
"""After the commit of a tree that differs from it."""
NOT_THE_MODEL = ("**/dvc.lock", "**/*.md", "deploy/**", "docs/**", "notebooks/**", "tests/**")


def sha(root: Path) -> str:
    """The commit, with DIRTY where files of the repo differ from it; "" without git.

    What no model is made of does not count, nor does dvc.lock: the pipeline writes it before it
    registers. Of files that git does not know, those count that the pipeline may read.
    """
    head = ask(root, "rev-parse", "--verify", "--quiet", "HEAD")
    others = [f":(exclude,glob){path}" for path in NOT_THE_MODEL]
    changed = ask(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    changed = changed or ask(
        root, "status", "--porcelain", "--untracked-files=all", "--", "src", "feature_repo"
    )
    return head.strip() + (DIRTY if changed else "") if head else ""
