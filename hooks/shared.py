"""What the scripts share: a refusal, git, an answers file, and a copy of the template."""

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
    """What is wrong and what to type."""


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """Run git in a folder; give what it prints, without space around it.

    Raises:
        Refusal: git failed, unless `check` is off.
    """
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if check and done.returncode:
        raise Refusal(f"git {arguments[0]} in {folder}: {done.stderr.strip()}")
    return done.stdout.strip()


def read_answers(file: Path) -> dict[str, Any]:
    """Read an answers file; copier would drop a name that it does not know without a word."""
    try:
        answers = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise Refusal(f"there is no answers file {file}: see scenarios/") from None
    except yaml.YAMLError as error:
        raise Refusal(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    questions = yaml.safe_load((TEMPLATE / "copier.yml").read_text())
    if not isinstance(answers, dict):
        raise Refusal(f"{file} must hold lines like: project_name: Late Flights")
    if unknown := sorted(name for name in answers if name.startswith("_") or name not in questions):
        known = ", ".join(name for name in questions if not name.startswith("_"))
        raise Refusal(f"{file}: no question is called {', '.join(unknown)}; there are {known}")
    return answers


def copy(folder: Path, answers: dict[str, Any], *, ask: bool, ref: str | None) -> None:
    """Copy the template into `folder`; updates will come from where this checkout came from.

    Args:
        folder: empty or new.
        answers: those that are known; the others are asked for, or take their defaults.
        ask: whether somebody is there to answer.
        ref: of the template; None is its latest release, or HEAD where there is none.
    """
    try:
        copier.run_copy(
            str(TEMPLATE), folder, data=answers, defaults=not ask, vcs_ref=ref, quiet=True
        )
    except CopierAnswersInterrupt:
        raise KeyboardInterrupt from None
    except InteractiveSessionError:
        raise Refusal(
            "there is no terminal to ask in: write the answers into a file, as scenarios/ has some,"
            " and add ANSWERS=answers.yml"
        ) from None
    except (CopierError, ValueError) as error:
        raise Refusal(str(error)) from None
    _record_origin(folder / ANSWERS_FILE)


def _record_origin(answers_file: Path) -> None:
    """Let updates come from where this checkout came from, not from this folder."""
    origin = git(TEMPLATE, "remote", "get-url", "origin", check=False)
    if not origin:
        return
    origin = re.sub(r"^(https?://)[^/@]*@", r"\1", origin)  # no token in a team's repo
    local = Path(origin)
    source = str((TEMPLATE / local).resolve()) if (TEMPLATE / local).exists() else origin
    text = answers_file.read_text().splitlines(keepends=True)
    lines = [f"_src_path: {source}\n" if x.startswith("_src_path:") else x for x in text]
    answers_file.write_text("".join(lines))
