"""The release of each environment in git, and commits that change it.

Releases are read from the branch that the environments follow: `origin`'s, or the local commit if
there is no `origin`. A commit is made without reading or writing the working tree or the index.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import Problem
from ..settings import settings
from ..vcs import change_request
from ..vcs.git import git
from . import manifest
from .manifest import Release


def file(env: str) -> str:
    """Return the path of an environment's release file.

    Raises:
        Problem: there is no such environment.
    """
    environments = settings().environments
    if env not in environments:
        raise Problem(f"no environment is called {env!r}; there are: {', '.join(environments)}")
    return f"deploy/envs/{env}/release.yaml"


def clean(root: Path, env: str) -> None:
    """Raise a Problem if the release file has uncommitted changes: they would be ignored."""
    if git(root, "status", "--porcelain", "--", file(env)):
        raise Problem(
            f"{file(env)} has changes that are not committed; a release uses commits only:"
            f" commit and push them, or discard them with git checkout HEAD -- {file(env)}"
        )


@dataclass(frozen=True)
class Base:
    """The commit that the environments follow; with `remote`, of a branch of `origin`."""

    root: Path
    branch: str
    commit: str
    remote: bool

    @classmethod
    def fetch(cls, root: Path, branch: str = "") -> "Base":
        """Fetch a branch of `origin`, its default branch if none is given.

        Raises:
            Problem: `origin` does not respond or has no such branch, or the clone is shallow.
        """
        if git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
            raise Problem("this clone is shallow: type git fetch --unshallow origin")
        if "origin" not in git(root, "remote").split():
            commit = git(root, "rev-parse", "--verify", branch or "HEAD").strip()
            return cls(root, branch, commit, remote=False)
        if not branch:
            head = git(root, "ls-remote", "--symref", "origin", "HEAD")
            if not head.startswith("ref: refs/heads/"):
                raise Problem("origin has no default branch: push one, or pass another with --base")
            branch = head.split()[1].removeprefix("refs/heads/")
        git(root, "fetch", "--quiet", "origin", f"refs/heads/{branch}")
        return cls(root, branch, git(root, "rev-parse", "FETCH_HEAD").strip(), remote=True)

    def proposed(self, branch: str) -> str:
        """Return the commit of the branch of a change request; "" if there is no such branch."""
        if self.remote:
            return change_request.pushed(self.root, branch)
        return git(self.root, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")[:-1]

    def environment(self, name: str) -> "Environment":
        """Return an environment as of this commit."""
        return Environment(name, self)

    def identity(self) -> dict[str, str]:
        """Return variables with a name for git if it has none, as in a CI job."""
        try:
            git(self.root, "var", "GIT_COMMITTER_IDENT")
        except Problem:
            return change_request.bot("Release")
        return {}


@dataclass(frozen=True)
class Environment:
    """What git has of an environment as of a commit that the environments follow."""

    name: str
    base: Base

    @property
    def file(self) -> str:
        """Path of the release file in the repo."""
        return file(self.name)

    @property
    def path(self) -> str:
        """Path of the release file, relative to the top of the git repository."""
        return git(self.base.root, "rev-parse", "--show-prefix").strip() + self.file

    def release(self, at: str = "") -> Release:
        """Return the release at the base's commit or at another.

        Raises:
            Problem: the release file is invalid.
        """
        return manifest.parse(self._text(at), self.file)

    def history(self) -> Iterator[tuple[str, datetime]]:
        """Yield the commits that changed the release, with times, latest first."""
        log = ("log", "--first-parent", "--format=%H %ct", self.base.commit)
        for line in git(self.base.root, *log, "--", self.file).splitlines():
            commit, seconds = line.split()
            yield commit, datetime.fromtimestamp(int(seconds), UTC)

    def commit(self, release: Release, message: str) -> str:
        """Commit a release on top of the base, on no branch yet; return the new commit."""
        root, parent = self.base.root, self.base.commit
        text = manifest.edited(self._text(), release)
        blob = git(root, "hash-object", "-w", "--stdin", stdin=text).strip()
        with tempfile.TemporaryDirectory() as scratch:
            index = {"GIT_INDEX_FILE": f"{scratch}/index"}
            git(root, "read-tree", parent, **index)
            entry = f"100644,{blob},{self.path}"
            git(root, "update-index", "--add", "--cacheinfo", entry, **index)
            tree = git(root, "write-tree", **index).strip()
        # `git commit` reads commit.gpgsign, `git commit-tree` does not.
        sign = git(root, "config", "--type=bool", "--default=no", "--get", "commit.gpgsign")
        options = [*(["-S"] if sign.strip() == "true" else []), "-p", parent, "-F", "-", tree]
        return git(root, "commit-tree", *options, stdin=message, **self.base.identity()).strip()

    def _text(self, at: str = "") -> str:
        at = at or self.base.commit
        exists = git(self.base.root, "ls-tree", at, "--", self.file)
        return git(self.base.root, "show", f"{at}:./{self.file}") if exists else ""
