"""The command line of `make update` and `make update-branch`.

Standard library only: it runs without the repo's environment, which the update may have to repair.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from .. import crash
from ..answers import ANSWERS
from ..errors import Problem
from ..vcs.git import git
from . import copier
from .propose import propose
from .update import update

GIVE_UP = "git restore -SW . && git clean -fd"
"""Limited to this folder, which may be part of a larger repository."""


def by_hand(root: Path, version: str, trust: bool, data: str) -> int:
    """Update, print the result and what to type next; return the exit code."""
    outcome = update(root, version, trust, data)
    if not outcome.release:
        return 0
    print(f"\n{outcome.text()}")
    print(f"To discard it: {GIVE_UP}", flush=True)
    if not outcome.whole:
        return 1
    return subprocess.run(["make", "updated", "BEGUN=1"], cwd=root).returncode


def main(arguments: list[str]) -> None:
    """Run the command line; a Problem becomes one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="update")
    parser.add_argument("--version", default="", help="the release; by default the latest")
    parser.add_argument("--trust", action="store_true", help="let migrations run commands")
    parser.add_argument("--data", default="", help="change an answer, as NAME=VALUE")
    parser.add_argument("--begin", action="store_true", help="only add new files")
    parser.add_argument("--propose", metavar="BASE", help="open a pull request to this branch")
    options = parser.parse_args(arguments)
    code = 0
    try:
        if options.begin:
            copier.begin(Path.cwd(), git(Path.cwd(), "show", f"HEAD:./{ANSWERS}"))
        elif options.propose:
            code = propose(Path.cwd(), options.propose)
        else:
            code = by_hand(Path.cwd(), options.version, options.trust, options.data)
    except Problem as problem:
        print(f"make update: {problem}", file=sys.stderr)
        code = 1
    except Exception as error:
        crash.report("make update", error)
        code = 1
    raise SystemExit(code)
