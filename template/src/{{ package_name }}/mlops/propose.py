"""`make update-branch`: propose the platform's latest release by a pull or merge request.

A scheduled job runs it.
"""

from pathlib import Path

from .git import git
from .request import Request, bot, pushed
from .update import update

BRANCH = "platform-update"
ME = bot("Platform update")
EMAIL = ME["GIT_COMMITTER_EMAIL"]


def propose(root: Path, base: str) -> int:
    """Update, commit, push, open or renew the request, and go back to where it began.

    Raises:
        Problem: the update, git or the host's tool fails.
    """
    began, here = git(root, "rev-parse", "HEAD").strip(), git(root, "branch", "--show-current")
    before = pushed(root, BRANCH)
    if before and set(git(root, "log", "--format=%ce", f"{began}..{before}").split()) - {EMAIL}:
        print(f"{BRANCH} holds commits of others, so it stays: merge it, or delete the branch.")
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
        # A hook of the repo's would refuse the markers that a draft may carry.
        git(root, "commit", "--quiet", "--no-verify", "-m", message, **ME)
        commit = git(root, "rev-parse", "HEAD").strip()
        request = Request(BRANCH, base, title, outcome.text(), draft=not outcome.whole)
        request.send(root, commit, before)
    finally:
        git(root, "checkout", "--quiet", here.strip() or began)
    return 0
