"""Propose a commit at `origin`: one branch, and one pull or merge request from it.

Both are updated until somebody else commits to the branch. Standard library only, like update.py.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..answers import answer
from ..errors import Problem
from .git import git


@dataclass(frozen=True)
class Request:
    """A proposal to merge `branch` into `base`; the text is Markdown."""

    branch: str
    base: str
    title: str
    text: str
    draft: bool = False

    def send(self, root: Path, commit: str, pushed: str) -> None:
        """Push a commit, replacing the commit `pushed`, and open or update the request.

        Raises:
            Problem: git or the host's tool failed; the branch was reset to its old state.
        """
        host = answer(root, "git_host")
        by_gh = host == "github" and bool(shutil.which("gh"))
        number = self._number(root) if by_gh else ""
        if pushed and _same(root, commit, pushed) and (number or not by_gh):
            print(f"{self.branch} already proposes it.")
            return
        try:
            self._push(root, commit, pushed, self._on_gitlab() if host == "gitlab" else [])
            if by_gh:
                self._on_github(root, number)
        except BaseException as error:
            self._take_back(root, commit, pushed, error)
            raise
        print(f"Pushed {self.branch}.")
        if not by_gh and host != "gitlab":
            print(f"Next: open a request from {self.branch} to {self.base}, or merge the branch.")

    def _push(self, root: Path, commit: str, over: str, options: list[str]) -> None:
        name = f"refs/heads/{self.branch}"
        lease = f"--force-with-lease={name}:{over}"
        git(root, "push", "--quiet", "--no-verify", lease, *options, "origin", f"{commit}:{name}")

    def _take_back(self, root: Path, commit: str, before: str, error: BaseException) -> None:
        try:
            if pushed(root, self.branch) == commit:
                self._push(root, before, commit, [])
        except Problem:
            raise Problem(
                f"{error}; {self.branch} may have been pushed: try again, or delete it"
            ) from None

    def _on_gitlab(self) -> list[str]:
        """Return push options. Git allows no line breaks in them; GitLab reads \\n as one."""
        options = [
            "create",
            "remove_source_branch",
            f"target={self.base}",
            f"title={'Draft: ' if self.draft else ''}{self.title}",
            "description=" + self.text.replace("\n", "\\n"),
        ]
        return [f"--push-option=merge_request.{option}" for option in options]

    def _number(self, root: Path) -> str:
        """Return the number of the open pull request on GitHub, or ""."""
        query = ("--head", self.branch, "--base", self.base, "--state", "open", "--json", "number")
        return _gh(root, "pr", "list", *query, "--jq", ".[].number").strip()

    def _on_github(self, root: Path, number: str) -> None:
        text = ("--title", self.title, "--body-file", "-")
        if number:
            print(_gh(root, "pr", "edit", number, *text, body=self.text))
            _gh(root, "pr", "ready", number, *(["--undo"] if self.draft else []))
            return
        draft = ["--draft"] if self.draft else []
        branches = ("--base", self.base, "--head", self.branch)
        print(_gh(root, "pr", "create", *branches, *text, *draft, body=self.text))


def bot(name: str) -> dict[str, str]:
    """Return the variables that make an automated job the author of a commit."""
    parts = {"NAME": name, "EMAIL": f"{name.lower().replace(' ', '-')}@mlops.invalid"}
    return {f"GIT_{who}_{key}": parts[key] for who in ("AUTHOR", "COMMITTER") for key in parts}


def pushed(root: Path, branch: str) -> str:
    """Return the branch's commit at the remote, or "" if there is no such branch."""
    if not git(root, "ls-remote", "origin", f"refs/heads/{branch}"):
        return ""
    git(root, "fetch", "--quiet", "origin", f"refs/heads/{branch}")
    return git(root, "rev-parse", "FETCH_HEAD").strip()


def _same(root: Path, commit: str, pushed: str) -> bool:
    """True if the pushed commit has the same content and the same parent."""
    names = [f"{each}{part}" for each in (commit, pushed) for part in ("^{tree}", "^")]
    tree, parent, *remote = git(root, "rev-parse", *names).split()
    return remote == [tree, parent]


def _gh(root: Path, *arguments: str, body: str = "") -> str:
    done = subprocess.run(["gh", *arguments], cwd=root, input=body, capture_output=True, text=True)
    if done.returncode:
        reason = " ".join(done.stderr.split())
        raise Problem(f"`gh {' '.join(arguments[:2])}` failed: {reason}")
    return done.stdout
