"""Update the repo to a release of the platform, and tell what is left to do.

Standard library only: it runs without the repo's environment, which the update may have to repair.
"""

import os
import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ..answers import ANSWERS, answer
from ..errors import Problem
from ..vcs.git import ask, git, own, top, tracked
from . import copier

# A running update of an earlier release looks for conflicts.sh and CHANGELOG.md here.
PLATFORM = Path(__file__).parents[1]


@dataclass
class Outcome:
    """Result of an update; `release` is "" if there was nothing to do."""

    release: str = ""
    news: str = ""
    conflicts: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    """What the migration could not do by itself."""
    failed: str = ""

    @property
    def whole(self) -> bool:
        """True if nothing is left to do except to review it."""
        return not (self.conflicts or self.failed)

    def text(self) -> str:
        """Return a summary in Markdown, for the terminal and for a pull request."""
        parts = [self.news]
        if self.moves:
            lines = "\n".join(f"- {line}" for line in self.moves)
            parts.append(f"This release moved files. Look at these:\n\n{lines}")
        if self.lost:
            commands = "\n".join(f"- `git checkout HEAD -- {file}`" for file in self.lost)
            parts.append(
                "This release removed files that you had edited. To keep one, type before you"
                f" commit:\n\n{commands}"
            )
        if self.conflicts:
            files = "\n".join(f"- {line}" for line in self.conflicts)
            parts.append(
                f"Conflicts: you and the platform changed the same lines.\n\n{files}\n\n"
                "Then type: `make setup graph test`"
            )
        if self.failed:
            parts.append(f"The update is in place, but `{self.failed}` failed: fix that first.")
        return "\n\n".join(part for part in parts if part) + "\n"


def conflicts(root: Path) -> list[str]:
    """Return the lines of conflicts.sh: file, problem and remedy, separated by tabs."""
    script = ["sh", str(PLATFORM / "conflicts.sh")]
    return subprocess.run(script, cwd=root, capture_output=True, text=True).stdout.splitlines()


def update(root: Path, version: str = "", trust: bool = False, data: str = "") -> Outcome:
    """Merge a release into the clean work tree in `root`; if there are conflicts, stop there.

    `data` changes the answer to one of the template's questions, as NAME=VALUE.

    Raises:
        Problem: the tree has changes, the template cannot be read or needs trust, or there is no
            such question. Nothing has changed then.
    """
    _check_git(root)
    if git(root, "status", "--porcelain", "--", "."):
        raise Problem("commit or stash your changes first; to see them, type: git status")
    if data:
        _check(root, data)
    current, latest = copier.versions(root) if not version else ("", version)
    if current == latest and not data:
        print(f"Up to date: {current} is the platform's latest release.")
        return Outcome()
    old_sections, answers = _sections(), (root / ANSWERS).read_text()
    print(f"Updating to {latest} ...", flush=True)
    options = [*(["--vcs-ref", version] if version else []), *(["--data", data] if data else [])]
    options += ["--trust"] if trust else []
    done = copier.copier(root, "update", "--defaults", "--quiet", *options)
    if done.returncode == copier.UNTRUSTED:
        variables = {"VERSION": version, "DATA": data}
        again = "".join(f" {name}={shlex.quote(x)}" for name, x in variables.items() if x)
        raise Problem(
            f"{latest} moves files by a command, which needs your trust; nothing has"
            f" changed. Type: make update TRUST=1{again}"
        )
    if done.returncode:
        raise Problem(f"{copier.failure_reason(done)}; git status shows what has changed")
    if not git(root, "status", "--porcelain", "--", "."):
        print(f"Nothing to do: the repo already has {latest}{f', and {data}' if data else ''}.")
        return Outcome()
    copier.begin(root, answers)
    outcome = Outcome(
        latest,
        "\n\n".join(text for title, text in _sections().items() if title not in old_sections),
        [line.replace("\t", ": ", 1).replace("\t", "; ") for line in conflicts(root)],
        _lost(root, answers),
        re.findall(r"^migration: (.+)", done.stderr or "", re.MULTILINE),
    )
    if outcome.whole:
        outcome.failed = _refresh(root)
    return outcome


def _check_git(root: Path) -> None:
    """Raise a Problem if git does not track the repo: the update could not be undone."""
    if own(root) or tracked(root):
        return
    outer = top(root)
    if outer and ask(outer, "check-ignore", "--quiet", "--", str(root)) is None:
        raise Problem(f"{outer} does not track this folder: git add . && git commit -m Start")
    raise Problem("this is not a git repository: git init && git add . && git commit -m Start")


def _check(root: Path, data: str) -> None:
    """Raise a Problem if `data` answers no question, because Copier would ignore it."""
    name, equals, _ = data.partition("=")
    answer(root, "_commit")
    names = re.findall(r"^([a-z]\w*):", (root / ANSWERS).read_text(), re.MULTILINE)
    if not equals or name not in names:
        raise Problem(f"DATA={data} is not NAME=VALUE; NAME is one of: {', '.join(names)}")


def _sections() -> dict[str, str]:
    """Return the changelog's sections by title."""
    file = PLATFORM / "CHANGELOG.md"
    parts = re.split(r"^(?=## )", file.read_text() if file.exists() else "", flags=re.MULTILINE)
    return {part.splitlines()[0]: part.strip() for part in parts[1:]}


def _lost(root: Path, answers: str) -> list[str]:
    """Return the deleted files that the team had edited."""
    deleted = git(root, "ls-files", "-z", "--deleted").split("\0")[:-1]
    if not deleted:
        return []
    with tempfile.TemporaryDirectory() as folder:
        copier.render(root, answers, Path(folder))
        rendered = {file: Path(folder) / file for file in deleted}
        return [
            file
            for file, path in rendered.items()
            if not path.exists()
            or git(root, "hash-object", str(path)) != git(root, "rev-parse", f"HEAD:./{file}")
        ]


def _refresh(root: Path) -> str:
    """Refresh lock file, environment and graph; run the platform's tests; return what failed."""
    # The steps must not see the variables of the calling make, nor the token for pull requests.
    dropped = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if name not in dropped}
    env = {name: value for name, value in env.items() if name not in ("GH_TOKEN", "UPDATE_TOKEN")}
    uv = copier.uv(root)
    for step in (
        [uv, "lock"],
        ["make", "setup", "graph"],
        [uv, "run", "--frozen", "pytest", "--quiet", "tests/platform"],
    ):
        print(f"$ {' '.join(step)}", flush=True)
        if subprocess.run(step, cwd=root, env=env).returncode:
            return " ".join(step)
    return ""
