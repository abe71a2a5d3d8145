"""The template that the repo comes from, asked by Copier's command line.

Needs Python alone, as update.py does, which imports it.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import git
from .errors import Problem

ANSWERS = ".copier-answers.yml"
COPIER = "copier>=9.15,<10"
UNTRUSTED = 4
"""Copier's exit code where the template wants to run commands, and nobody said `--trust`."""

Done = subprocess.CompletedProcess[str]


def uv(root: Path) -> str:
    """The machine's uv, or the repo's own, as in the Makefile."""
    return shutil.which("uv") or os.environ.get("UV") or str(root / ".uv/bin/uv")


def copier(root: Path, *arguments: str) -> Done:
    """Run a command of Copier's in the repo, without asking anything.

    Raises:
        Problem: it did not answer in ten minutes, or there is no uv.
    """
    command = [uv(root), "tool", "run", "--quiet", COPIER, *arguments]
    quiet = {"GIT_TERMINAL_PROMPT": "0", "VIRTUAL_ENV": ""}
    try:
        return subprocess.run(
            command,
            cwd=root,
            env=git.environment() | quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
    except FileNotFoundError:
        raise Problem("there is no uv: type `make setup`, which installs it") from None
    except subprocess.TimeoutExpired:
        raise Problem(f"the template did not answer: check _src_path in {ANSWERS}") from None


def said(done: Done) -> str:
    """Why a command of Copier's failed, in a line: git's reason where it is git that failed."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip()
    reasons = re.findall(r"fatal: (.+)", text) or text.splitlines() or ["it said nothing"]
    return re.sub(r"//[^/@\s]+@", "//", reasons[-1])  # no password in a log


def answer(root: Path, name: str) -> str:
    """The recorded answer; "" where there is none."""
    file = root / ANSWERS
    if not file.exists():
        raise Problem(f"no {ANSWERS}: bring it back, as in `git checkout HEAD -- {ANSWERS}`")
    found = re.search(rf"^{name}: *['\"]?(.*?)['\"]?$", file.read_text(), re.MULTILINE)
    return found[1] if found else ""


def versions(root: Path) -> tuple[str, str]:
    """The release that the repo has, and the latest one.

    Raises:
        Problem: the template cannot be read.
    """
    answer(root, "_commit")
    done = copier(root, "check-update", "--output-format", "json")
    if done.returncode:
        raise Problem(
            f"the template cannot be read: {said(done)}:"
            f" check the network, your access and _src_path in {ANSWERS}"
        )
    found = json.loads(done.stdout)
    current = str(found["current_version"])
    return current, str(found["latest_version"]) if found["update_available"] else current


def render(root: Path, answers: str, folder: Path) -> None:
    """Make in an empty `folder` what the template gives for the text of an answers file.

    Raises:
        Problem: the template cannot be read, or not at that commit.
    """
    (folder / ANSWERS).write_text(answers)
    current = ("--vcs-ref", ":current:")
    done = copier(root, "recopy", "--defaults", "--overwrite", "--quiet", *current, str(folder))
    if done.returncode:
        raise Problem(
            f"the template cannot be read at the recorded _commit: {said(done)}:"
            f" check the network, your access and {ANSWERS}"
        )


def begin(root: Path, before: str) -> None:
    """Bring the files that are yours and that the releases since `before` began.

    `before` is the text of the answers file then. An update of Copier's leaves out all that is
    yours; this brings what no earlier release had made, and replaces nothing.

    Raises:
        Problem: the template cannot be read.
    """
    now = (root / ANSWERS).read_text()
    if now == before:
        return
    with tempfile.TemporaryDirectory() as name:
        old, new = Path(name, "old"), Path(name, "new")
        for folder, answers in ((old, before), (new, now)):
            folder.mkdir()
            render(root, answers, folder)
        for path in sorted(new.rglob("*")):
            file = path.relative_to(new)
            if path.is_dir() or os.path.lexists(root / file) or os.path.lexists(old / file):
                continue
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, root / file, follow_symlinks=False)
            print(f"{file} is new, and yours from here on.")
