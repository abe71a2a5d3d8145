"""What git says is released to an environment, and a commit that releases something else.

What counts is what the environments follow: `origin`'s branch, or the commit here where there is no
`origin`. Neither the work tree nor the index is read or written.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from . import release_file, request
from .errors import Problem
from .git import git
from .release_file import Release
from .settings import settings


def file(env: str) -> str:
    """The release file of an environment.

    Raises:
        Problem: there is no such environment.
    """
    known = settings().environments
    if env not in known:
        raise Problem(f"no environment is called {env!r}; there are: {', '.join(known)}")
    return f"deploy/envs/{env}/release.yaml"


def clean(root: Path, env: str) -> None:
    """Raise a Problem where the release file here is not as committed: the edit would be lost."""
    if git(root, "status", "--porcelain", "--", file(env)):
        raise Problem(
            f"{file(env)} has changes that are not committed; a release comes from commits alone:"
            f" commit and push them, or drop them by git checkout HEAD -- {file(env)}"
        )


@dataclass(frozen=True)
class Base:
    """A commit that the environments follow, of a branch that may be at `origin`."""

    root: Path
    branch: str
    commit: str
    remote: bool

    @classmethod
    def fetch(cls, root: Path, branch: str = "") -> "Base":
        """Ask `origin` for a branch, or for its default one.

        Raises:
            Problem: `origin` does not answer or has no such branch, or the clone has no history.
        """
        if git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
            raise Problem("this clone has no history: type git fetch --unshallow origin")
        if "origin" not in git(root, "remote").split():
            commit = git(root, "rev-parse", "--verify", branch or "HEAD").strip()
            return cls(root, branch, commit, remote=False)
        if not branch:
            said = git(root, "ls-remote", "--symref", "origin", "HEAD")
            if not said.startswith("ref: refs/heads/"):
                raise Problem("origin has no default branch: push one, or name one by --base")
            branch = said.split()[1].removeprefix("refs/heads/")
        git(root, "fetch", "--quiet", "origin", f"refs/heads/{branch}")
        return cls(root, branch, git(root, "rev-parse", "FETCH_HEAD").strip(), remote=True)

    def proposed(self, branch: str) -> str:
        """The commit of a branch where requests come from; "" where there is none."""
        if self.remote:
            return request.pushed(self.root, branch)
        return git(self.root, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")[:-1]

    def text(self, env: str, at: str = "") -> str:
        """The release file of an environment as of this commit or another; "" where none is."""
        at = at or self.commit
        there = git(self.root, "ls-tree", at, "--", file(env))
        return git(self.root, "show", f"{at}:./{file(env)}") if there else ""

    def path(self, env: str) -> str:
        """The release file of an environment, from the top of the repository."""
        return git(self.root, "rev-parse", "--show-prefix").strip() + file(env)

    def release(self, env: str, at: str = "") -> Release:
        """What runs in an environment as of this commit or another.

        Raises:
            Problem: the file is not in the shape.
        """
        return release_file.parse(self.text(env, at), file(env))

    def history(self, env: str) -> Iterator[tuple[str, datetime]]:
        """The commits that changed the release of an environment, and when, the latest first."""
        log = ("log", "--first-parent", "--format=%H %ct", self.commit)
        for line in git(self.root, *log, "--", file(env)).splitlines():
            commit, seconds = line.split()
            yield commit, datetime.fromtimestamp(int(seconds), UTC)

    def commit_release(self, env: str, release: Release, message: str) -> str:
        """Make a commit on this one that releases something else; no branch holds it yet."""
        text = release_file.edited(self.text(env), release)
        blob = git(self.root, "hash-object", "-w", "--stdin", stdin=text).strip()
        with tempfile.TemporaryDirectory() as scratch:
            index = {"GIT_INDEX_FILE": f"{scratch}/index"}
            git(self.root, "read-tree", self.commit, **index)
            entry = f"100644,{blob},{self.path(env)}"
            git(self.root, "update-index", "--add", "--cacheinfo", entry, **index)
            tree = git(self.root, "write-tree", **index).strip()
        # `git commit` heeds it by itself, this does not.
        asked = git(self.root, "config", "--type=bool", "--default=no", "--get", "commit.gpgsign")
        given = [*(["-S"] if asked.strip() == "true" else []), "-p", self.commit, "-F", "-", tree]
        return git(self.root, "commit-tree", *given, stdin=message, **self._who()).strip()

    def _who(self) -> dict[str, str]:
        """A name for git where it knows none, as in a job of CI."""
        try:
            git(self.root, "var", "GIT_COMMITTER_IDENT")
        except Problem:
            return request.bot("Release")
        return {}
