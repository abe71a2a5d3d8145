"""`make update-branch`: propose the platform's latest release in a pull or merge request.

A scheduled job runs it.
"""

from pathlib import Path

from ..vcs.change_request import Request, bot, pushed
from ..vcs.git import git
from .update import update

BRANCH = "platform-update"
ME = bot("Platform update")
EMAIL = ME["GIT_COMMITTER_EMAIL"]


def propose(root: Path, base: str) -> int:
    """Update, commit, push, open or update the request; then check out the original commit again.

    Raises:
        Problem: the update, git or the host's tool failed.
    """
    start, current = git(root, "rev-parse", "HEAD").strip(), git(root, "branch", "--show-current")
    before = pushed(root, BRANCH)
    if before and set(git(root, "log", "--format=%ce", f"{start}..{before}").split()) - {EMAIL}:
        print(
            f"{BRANCH} holds commits of others and was not changed: merge it, or delete the branch."
        )
        return 0
    outcome = update(root)
    if not outcome.release:
        return 0
    print(outcome.text())
    git(root, "add", "--all", "--", ".")
    git(root, "checkout", "--quiet", "-B", BRANCH)
    try:
        title = f"Update the platform to {outcome.release}"
        message = f"{title}\n\n{outcome.text()}"
        # The repo's hooks would reject conflict markers, which a draft may contain.
        git(root, "commit", "--quiet", "--no-verify", "-m", message, **ME)
        commit = git(root, "rev-parse", "HEAD").strip()
        request = Request(BRANCH, base, title, outcome.text(), draft=not outcome.whole)
        request.send(root, commit, before)
    finally:
        git(root, "checkout", "--quiet", current.strip() or start)
    return 0
