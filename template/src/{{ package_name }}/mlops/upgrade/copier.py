"""Access the repo's template through Copier's command line.

Standard library only, because update.py imports it.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..answers import ANSWERS, answer
from ..errors import Problem
from ..vcs import git

COPIER = "copier>=9.18,<10"
UNTRUSTED = 4
"""Copier's exit code if the template runs commands and `--trust` is not given."""

Done = subprocess.CompletedProcess[str]


def uv(root: Path) -> str:
    """Return the path of the installed uv, or of the repo's own, as in the Makefile."""
    return shutil.which("uv") or os.environ.get("UV") or str(root / ".uv/bin/uv")


def copier(root: Path, *arguments: str) -> Done:
    """Run a Copier command in the repo, without prompts.

    Raises:
        Problem: it did not finish within ten minutes, or there is no uv.
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


def failure_reason(done: Done) -> str:
    """Return why a Copier command failed, in one line: git's reason if git failed."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip()
    reasons = re.findall(r"fatal: (.+)", text) or text.splitlines() or ["no error message"]
    return re.sub(r"//[^/@\s]+@", "//", reasons[-1])  # do not log passwords


def versions(root: Path) -> tuple[str, str]:
    """Return the repo's release and the latest release.

    Raises:
        Problem: the template cannot be read.
    """
    answer(root, "_commit")
    done = copier(root, "check-update", "--output-format", "json")
    if done.returncode:
        raise Problem(
            f"the template cannot be read: {failure_reason(done)}:"
            f" check the network, your access and _src_path in {ANSWERS}"
        )
    result = json.loads(done.stdout)
    current = str(result["current_version"])
    return current, str(result["latest_version"]) if result["update_available"] else current


def render(root: Path, answers: str, folder: Path) -> None:
    """Render the template into an empty `folder`, for the text of an answers file.

    Raises:
        Problem: the template, or its commit in the answers, cannot be read.
    """
    (folder / ANSWERS).write_text(answers)
    current = ("--vcs-ref", ":current:")
    done = copier(root, "recopy", "--defaults", "--overwrite", "--quiet", *current, str(folder))
    if done.returncode:
        raise Problem(
            f"the template cannot be read at the recorded _commit: {failure_reason(done)}:"
            f" check the network, your access and {ANSWERS}"
        )


def begin(root: Path, before: str) -> None:
    """Add files of the class `yours` that releases since `before` introduced; replace nothing.

    `before` is the text of the answers file before the update. Copier's update skips all files
    that belong to the team; this adds those that the earlier release did not have.

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
            # An absent file of another class is one that the team deleted, renamed or replaced.
            if not git.git(root, "check-attr", "mlops", "--", str(file)).endswith(": yours\n"):
                continue
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, root / file, follow_symlinks=False)
            print(f"{file} is new; it is yours, and updates will not touch it.")
