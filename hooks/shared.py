"""Shared by the scripts: refusals, git, answers files, and copying the template."""

import re
import subprocess
from pathlib import Path
from typing import Any

import copier
import yaml
from copier.errors import CopierAnswersInterrupt, CopierError, InteractiveSessionError

TEMPLATE = Path(__file__).resolve().parent.parent
ANSWERS_FILE = ".copier-answers.yml"


class Refusal(Exception):
    """An error for the user: what is wrong and what to type."""


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run git in a folder and return its output, stripped.

    Raises:
        Refusal: git failed and `check` is true.
    """
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if check and done.returncode:
        raise Refusal(f"git {arguments[0]} in {folder}: {done.stderr.strip()}")
    return done.stdout.strip()


def read_answers(file: Path) -> dict[str, Any]:
    """Read an answers file; refuse unknown names, which Copier would silently ignore."""
    try:
        answers = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise Refusal(f"there is no answers file {file}: see scenarios/ for examples") from None
    except yaml.YAMLError as error:
        raise Refusal(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    questions = yaml.safe_load((TEMPLATE / "copier.yml").read_text())
    if not isinstance(answers, dict):
        raise Refusal(f"{file} must contain lines like: project_name: Late Flights")
    if unknown := sorted(name for name in answers if name.startswith("_") or name not in questions):
        names = ", ".join(name for name in questions if not name.startswith("_"))
        raise Refusal(f"{file}: no question is called {', '.join(unknown)}; there are {names}")
    return answers


def copy(folder: Path, answers: dict[str, Any], *, ask: bool, ref: str | None) -> None:
    """Copy the template into `folder`; updates will come from the origin of this checkout.

    Args:
        folder: an empty or new folder.
        answers: the given answers; the others are asked for, or take their defaults.
        ask: whether to ask for missing answers.
        ref: a ref of the template; by default its latest release, or HEAD if there is none.
    """
    try:
        copier.run_copy(
            str(TEMPLATE), folder, data=answers, defaults=not ask, vcs_ref=ref, quiet=True
        )
    except CopierAnswersInterrupt:
        raise KeyboardInterrupt from None
    except InteractiveSessionError:
        raise Refusal(
            "there is no terminal for the questions: write the answers into a file like those in"
            " scenarios/, and add ANSWERS=answers.yml"
        ) from None
    except (CopierError, ValueError) as error:
        raise Refusal(str(error)) from None
    _record_origin(folder / ANSWERS_FILE)


def _record_origin(answers_file: Path) -> None:
    """Record the origin of this checkout, instead of this folder, as the source of updates."""
    origin = git(TEMPLATE, "remote", "get-url", "origin", check=False)
    if not origin:
        return
    origin = re.sub(r"^(https?://)[^/@]*@", r"\1", origin)  # a token must not get into the repo
    local = Path(origin)
    source = str((TEMPLATE / local).resolve()) if (TEMPLATE / local).exists() else origin
    text = answers_file.read_text().splitlines(keepends=True)
    lines = [f"_src_path: {source}\n" if x.startswith("_src_path:") else x for x in text]
    answers_file.write_text("".join(lines))
