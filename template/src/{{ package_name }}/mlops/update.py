"""`make update`: take a release of the platform into the repo, and say what is left to do.

Runs without the repo's environment, which the update may have to mend: it needs Python alone.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import crash, template
from .errors import Problem
from .git import ask, git, own, top, tracked

HERE = Path(__file__).parent
GIVE_UP = "git restore -SW . && git clean -fd"
"""For this folder alone: it may be one of a larger repository."""


@dataclass
class Outcome:
    """What an update did; `release` is "" where there was nothing to do."""

    release: str = ""
    news: str = ""
    conflicts: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    failed: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is left to do but to look at it."""
        return not (self.conflicts or self.failed)

    def text(self) -> str:
        """Say it in Markdown, for the terminal and for a pull request."""
        parts = [self.news]
        if self.lost:
            gone = "\n".join(f"- `git checkout HEAD -- {file}`" for file in self.lost)
            parts.append(
                "The platform has deleted files that you had edited; to keep one, before you"
                f" commit, type:\n\n{gone}"
            )
        if self.conflicts:
            files = "\n".join(f"- {line}" for line in self.conflicts)
            parts.append(
                f"Conflicts: you and the platform changed the same lines.\n\n{files}\n\n"
                "Then type: `make setup graph test`"
            )
        if self.failed:
            parts.append(f"The update is in place, but `{self.failed}` failed: mend that first.")
        return "\n\n".join(part for part in parts if part) + "\n"


def conflicts(root: Path) -> list[str]:
    """The lines of conflicts.sh: file, what is wrong and what to type, with tabs between."""
    script = ["sh", str(HERE / "conflicts.sh")]
    return subprocess.run(script, cwd=root, capture_output=True, text=True).stdout.splitlines()


def update(root: Path, version: str = "", trust: bool = False, data: str = "") -> Outcome:
    """Merge a release into the clean work tree in `root`; where it conflicts, no step follows.

    `data` is another answer to one of the template's questions, as NAME=VALUE.

    Raises:
        Problem: the tree has changes, the template cannot be read or wants trust, or there is no
            such question. Nothing changed.
    """
    _check_git(root)
    if git(root, "status", "--porcelain", "--", "."):
        raise Problem("commit or stash your changes first; to see them, type: git status")
    if data:
        _check(root, data)
    current, latest = template.versions(root) if not version else ("", version)
    if current == latest and not data:
        print(f"Up to date: {current} is the platform's latest release.")
        return Outcome()
    known, answers = _sections(), (root / template.ANSWERS).read_text()
    print(f"Updating to {latest} ...", flush=True)
    given = [*(["--vcs-ref", version] if version else []), *(["--data", data] if data else [])]
    given += ["--trust"] if trust else []
    done = template.copier(root, "update", "--defaults", "--quiet", *given)
    if done.returncode == template.UNTRUSTED:
        asked = {"VERSION": version, "DATA": data}
        again = "".join(f" {name}={shlex.quote(x)}" for name, x in asked.items() if x)
        raise Problem(
            f"{latest} moves files of yours by a command, which needs your trust; nothing has"
            f" changed. Type: make update TRUST=1{again}"
        )
    if done.returncode:
        raise Problem(f"{template.said(done)}; git status shows what has changed")
    if not git(root, "status", "--porcelain", "--", "."):
        print(f"Nothing to do: the repo has all of {latest}{f', and {data}' if data else ''}.")
        return Outcome()
    template.begin(root, answers)
    outcome = Outcome(
        latest,
        "\n\n".join(text for title, text in _sections().items() if title not in known),
        [line.replace("\t", ": ", 1).replace("\t", "; ") for line in conflicts(root)],
        _lost(root, answers),
    )
    if outcome.whole:
        outcome.failed = _refresh(root)
    return outcome


def _check_git(root: Path) -> None:
    """Raise a Problem where git does not keep the repo's files: an update could not be undone."""
    if own(root) or tracked(root):
        return
    around = top(root)
    if around and ask(around, "check-ignore", "--quiet", "--", str(root)) is None:
        raise Problem(f"{around} has no commit of this folder: git add . && git commit -m Start")
    raise Problem("this is no git repository: git init && git add . && git commit -m Start")


def _check(root: Path, data: str) -> None:
    """Raise a Problem where it answers no question: Copier would pass over it."""
    name, equals, _ = data.partition("=")
    template.answer(root, "_commit")
    known = re.findall(r"^([a-z]\w*):", (root / template.ANSWERS).read_text(), re.MULTILINE)
    if not equals or name not in known:
        raise Problem(f"DATA={data} is no NAME=VALUE with a NAME of: {', '.join(known)}")


def _sections() -> dict[str, str]:
    """The changelog's sections by their titles."""
    file = HERE / "CHANGELOG.md"
    parts = re.split(r"^(?=## )", file.read_text() if file.exists() else "", flags=re.MULTILINE)
    return {part.splitlines()[0]: part.strip() for part in parts[1:]}


def _lost(root: Path, answers: str) -> list[str]:
    """The files that the update deleted, and that were not as the template had made them."""
    deleted = git(root, "ls-files", "-z", "--deleted").split("\0")[:-1]
    if not deleted:
        return []
    with tempfile.TemporaryDirectory() as folder:
        template.render(root, answers, Path(folder))
        made = {file: Path(folder) / file for file in deleted}
        return [
            file
            for file, path in made.items()
            if not path.exists()
            or git(root, "hash-object", str(path)) != git(root, "rev-parse", f"HEAD:./{file}")
        ]


def _refresh(root: Path) -> str:
    """Let lock, environment and graph follow, and try the platform's tests; give what failed."""
    # What started this is no business of the steps, nor is the token of a pull request.
    dropped = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    kept = {name: value for name, value in kept.items() if name not in ("GH_TOKEN", "UPDATE_TOKEN")}
    uv = template.uv(root)
    for step in (
        [uv, "lock"],
        ["make", "setup", "graph"],
        [uv, "run", "--frozen", "pytest", "--quiet", "tests/platform"],
    ):
        print(f"$ {' '.join(step)}", flush=True)
        if subprocess.run(step, cwd=root, env=kept).returncode:
            return " ".join(step)
    return ""


def by_hand(root: Path, version: str, trust: bool, data: str) -> int:
    """Update, print what came of it and what to type next; give the exit code."""
    outcome = update(root, version, trust, data)
    if not outcome.release:
        return 0
    print(f"\n{outcome.text()}")
    print(f"To give it up: {GIVE_UP}", flush=True)
    if not outcome.whole:
        return 1
    return subprocess.run(["make", "updated", "BEGUN=1"], cwd=root).returncode


def main(arguments: list[str]) -> None:
    """Run the command line; a Problem is a line on stderr and exit code 1."""
    from .propose import propose

    parser = argparse.ArgumentParser(prog="update")
    parser.add_argument("--version", default="", help="a release; by default the latest")
    parser.add_argument("--trust", action="store_true", help="let it run a migration's commands")
    parser.add_argument("--data", default="", help="another answer, as NAME=VALUE")
    parser.add_argument("--begin", action="store_true", help="only bring files that are new")
    parser.add_argument("--propose", metavar="BASE", help="by a pull request to this branch")
    given = parser.parse_args(arguments)
    code = 0
    try:
        if given.begin:
            template.begin(Path.cwd(), git(Path.cwd(), "show", f"HEAD:./{template.ANSWERS}"))
        elif given.propose:
            code = propose(Path.cwd(), given.propose)
        else:
            code = by_hand(Path.cwd(), given.version, given.trust, given.data)
    except Problem as problem:
        print(f"make update: {problem}", file=sys.stderr)
        code = 1
    except Exception as error:
        crash.report("make update", error)
        code = 1
    raise SystemExit(code)
