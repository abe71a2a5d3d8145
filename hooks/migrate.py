"""Rename, remove or split files of the template in a team's repo: the team's edits go along.

usage: migrate.py [--rename OLD NEW]... [--remove OLD]... [--split OLD NEW...]...

A release that does this has an entry in copier.yml. Copier runs it, in a repo whose update crosses
its version, when everything else is merged:

    _migrations:
      - version: "0.3.0"
        command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/migrate.py",
                  --rename, docker/Dockerfile, images/Dockerfile,
                  --remove, "src/{{ package_name }}/mlops/old.py",
                  --split, Makefile, Makefile, engine.mk]

OLD is a file, or, except for a split, a folder. The NEW of a split come in the order in which their
parts stood in OLD, which may be one of them. An entry names where a file is today: a later release
that moves it again changes this entry, and adds one of its own. No release can put a
folder where a file of the same name was: Copier stops half-way there.
"""

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import copier
import yaml
from copier.errors import CopierError

from merging import File, committed, on_disk
from moves import Sides, remove, rename, say, split
from shared import ANSWERS_FILE, TEMPLATE, Refusal


def gather(*paths: str) -> Sides:
    """Render the template of the last update and today's; read the team's files at `paths`."""
    if not (answers := committed(ANSWERS_FILE)):
        raise Refusal(f"{ANSWERS_FILE} is not committed")
    last = yaml.safe_load(answers[ANSWERS_FILE].data)
    now = yaml.safe_load(Path(ANSWERS_FILE).read_text())
    with tempfile.TemporaryDirectory() as folder:
        # Without its history a template is taken as it lies, and nothing is fetched.
        history = shutil.ignore_patterns(".git")
        today = shutil.copytree(TEMPLATE, Path(folder, "template"), symlinks=True, ignore=history)
        base = _render(last["_src_path"], last["_commit"], last, Path(folder, "base"))
        theirs = _render(str(today), None, now, Path(folder, "theirs"))
    return Sides(base, committed(*paths), theirs)


def _render(source: str, ref: str | None, answers: dict[str, Any], folder: Path) -> dict[str, File]:
    known = {name: value for name, value in answers.items() if not name.startswith("_")}
    copier.run_copy(source, folder, known, vcs_ref=ref, defaults=True, quiet=True, skip_tasks=True)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return {name: file for name in names if (file := on_disk(folder / name))}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Move files of the template in a team's repo.")
    parser.add_argument("--rename", nargs=2, action="append", default=[], metavar=("OLD", "NEW"))
    parser.add_argument("--remove", action="append", default=[], metavar="OLD")
    parser.add_argument("--split", nargs="+", action="append", default=[], metavar=("OLD", "NEW"))
    given = parser.parse_args()
    if alone := [words[0] for words in given.split if len(words) == 1]:
        parser.error(f"--split {alone[0]}: say into what")
    try:
        sides = gather(*itertools.chain(*given.rename, given.remove, *given.split))
        for old, new in given.rename:
            rename(old, new, sides)
        for old in given.remove:
            remove(old, sides)
        for old, *news in given.split:
            split(old, news, sides)
    except (Refusal, CopierError, OSError, subprocess.CalledProcessError) as error:
        undo = "to be as before the update, type: git restore -SW . && git clean -fd"
        say(f"{error}; {undo}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
