"""Start a team repo: ask, generate, make the git repository and its first commit.

usage: python hooks/new.py FOLDER [--answers FILE] [--ref REF]
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import copier
import yaml
from copier.errors import CopierAnswersInterrupt, CopierError

TEMPLATE = Path(__file__).resolve().parent.parent


class Refusal(Exception):
    """What is wrong and what to type."""


def create(folder: Path, answers: dict[str, Any], *, ask: bool, ref: str | None = None) -> Path:
    """Generate a repo in `folder`, which must be empty or new, and commit it.

    Args:
        folder: where the repo goes.
        answers: those that are known; the others are asked for, or take their defaults.
        ask: whether somebody is there to answer.
        ref: of the template; None is its latest release, or HEAD where there is none.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal(f"{folder} is not empty: give a new folder, as in: make new DEST=../my-model")
    try:
        copier.run_copy(
            str(TEMPLATE), folder, data=answers, defaults=not ask, vcs_ref=ref, quiet=not ask
        )
    except CopierAnswersInterrupt:
        raise KeyboardInterrupt from None
    except (CopierError, ValueError) as error:
        raise Refusal(str(error)) from None
    _record_origin(folder / ".copier-answers.yml")
    _commit(folder)
    return folder


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


def _record_origin(answers_file: Path) -> None:
    """Let updates come from where this checkout came from, not from this folder."""
    origin = _git(TEMPLATE, "remote", "get-url", "origin", check=False)
    if not origin:
        return
    origin = re.sub(r"^(https?://)[^/@]*@", r"\1", origin)  # no token in a team's repo
    local = Path(origin)
    source = str((TEMPLATE / local).resolve()) if (TEMPLATE / local).exists() else origin
    text = answers_file.read_text().splitlines(keepends=True)
    lines = [f"_src_path: {source}\n" if x.startswith("_src_path:") else x for x in text]
    answers_file.write_text("".join(lines))


def _commit(folder: Path) -> None:
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "add", "--all")
    try:
        _git(folder, "commit", "--quiet", "--message", "Start from copier-mlops")
    except Refusal:
        print(
            f"git does not know who you are, so nothing is committed. Type: cd {folder} &&"
            " git config user.name NAME && git config user.email EMAIL && git commit -m Start",
            file=sys.stderr,
        )


def _git(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if check and done.returncode:
        raise Refusal(f"git {arguments[0]} in {folder}: {done.stderr.strip()}")
    return done.stdout.strip()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Start a team repo from this template.")
    parser.add_argument("folder", type=Path, help="a folder that is empty or new")
    parser.add_argument("--answers", type=Path, help="a YAML file of answers; nothing is asked")
    parser.add_argument(
        "--ref", help="of the template: a tag, a branch, HEAD (default: latest tag)"
    )
    given = parser.parse_args()
    try:
        answers = read_answers(given.answers) if given.answers else {}
        create(given.folder, answers, ask=given.answers is None, ref=given.ref)
    except Refusal as refusal:
        print(f"make new: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"make new: stopped; look into {given.folder} before you try again", file=sys.stderr)
        return 130
    print(f"\n{given.folder} is a git repository. What to type next:\n")
    print(f"    cd {given.folder}\n    make setup pipeline    # about two minutes the first time")
    print("    make help")
    return 0


if __name__ == "__main__":
    sys.exit(main())
