"""Start a new repo: ask the questions, generate it, and make its first commit.

usage: python hooks/new.py FOLDER [--answers FILE] [--ref REF]
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from shared import Refusal, copy, git, read_answers


def create(folder: Path, answers: dict[str, Any], *, ask: bool, ref: str | None = None) -> Path:
    """Generate a repo in `folder`, which must be empty or new, and commit it.

    Args:
        folder: the folder of the repo.
        answers: the given answers; the others are asked for, or take their defaults.
        ask: whether to ask for missing answers.
        ref: a ref of the template; by default its latest release, or HEAD if there is none.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal(f"{folder} is not empty: choose a new folder, like make new DEST=../my-model")
    copy(folder, answers, ask=ask, ref=ref)
    _commit(folder)
    return folder


def _commit(folder: Path) -> None:
    """Create a git repository in the folder, unless it is part of one already."""
    inside = git(folder, "rev-parse", "--show-toplevel", check=False)
    if inside and not git(folder, "check-ignore", ".", check=False):
        return
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    try:
        git(folder, "commit", "--quiet", "--message", "Start from copier-mlops")
    except Refusal:
        print(
            f"git does not know who you are, so nothing is committed. Type: cd {folder} &&"
            " git config user.name NAME && git config user.email EMAIL && git commit -m Start",
            file=sys.stderr,
        )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Start a new repo from this template.")
    parser.add_argument("folder", type=Path, help="a folder that is empty or new")
    parser.add_argument("--answers", type=Path, help="a YAML file of answers; asks no questions")
    parser.add_argument(
        "--ref", help="tag or branch of the template, or HEAD (default: latest tag)"
    )
    args = parser.parse_args()
    try:
        answers = read_answers(args.answers) if args.answers else {}
        create(args.folder, answers, ask=args.answers is None, ref=args.ref)
    except Refusal as refusal:
        print(f"make new: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"make new: interrupted; check {args.folder} before you try again", file=sys.stderr)
        return 130
    own = (args.folder / ".git").exists()
    state = "is a git repository" if own else "is part of the git repository around it: commit it"
    print(f"\n{args.folder} {state}. Next, type:\n")
    print(f"    cd {args.folder}\n    make setup pipeline    # about two minutes the first time")
    print("    make help")
    return 0


if __name__ == "__main__":
    sys.exit(main())
