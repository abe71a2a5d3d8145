"""Rename, remove or split files of the template in a team's repo; the team's edits move along.

usage: migrate.py [--rename OLD NEW]... [--remove OLD]... [--split OLD NEW...]...

Such a release has an entry in copier.yml. Copier runs it in a repo whose update crosses its
version, after everything else is merged:

    _migrations:
      - version: "0.3.0"
        command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/migrate.py",
                  --rename, docker/Dockerfile, images/Dockerfile,
                  --remove, "src/{{ package_name }}/mlops/old.py",
                  --split, Makefile, Makefile, engine.mk]

OLD is a file or, except for a split, a folder. The NEW files of a split are in the order of their
parts in OLD, which may be one of them. An entry names the current path of a file: a later release
that moves the file again changes this entry and adds its own. No release can put a folder where a
file of the same name was: Copier would stop halfway.
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
    """Render the template of the last update and the new one; read the team's files at `paths`."""
    if not (answers := committed(ANSWERS_FILE)):
        raise Refusal(f"{ANSWERS_FILE} is not committed")
    last = yaml.safe_load(answers[ANSWERS_FILE].data)
    now = yaml.safe_load(Path(ANSWERS_FILE).read_text())
    with tempfile.TemporaryDirectory() as folder:
        # Without its history, Copier uses the template as it is and fetches nothing.
        history = shutil.ignore_patterns(".git")
        today = shutil.copytree(TEMPLATE, Path(folder, "template"), symlinks=True, ignore=history)
        base = _render(last["_src_path"], last["_commit"], last, Path(folder, "base"))
        theirs = _render(str(today), None, now, Path(folder, "theirs"))
    return Sides(base, committed(*paths), theirs)


def _render(source: str, ref: str | None, answers: dict[str, Any], folder: Path) -> dict[str, File]:
    data = {name: value for name, value in answers.items() if not name.startswith("_")}
    copier.run_copy(source, folder, data, vcs_ref=ref, defaults=True, quiet=True, skip_tasks=True)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    return {name: file for name in names if (file := on_disk(folder / name))}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Move files of the template in a team's repo.")
    parser.add_argument("--rename", nargs=2, action="append", default=[], metavar=("OLD", "NEW"))
    parser.add_argument("--remove", action="append", default=[], metavar="OLD")
    parser.add_argument("--split", nargs="+", action="append", default=[], metavar=("OLD", "NEW"))
    args = parser.parse_args()
    if alone := [words[0] for words in args.split if len(words) == 1]:
        parser.error(f"--split {alone[0]}: name the files that it becomes")
    try:
        sides = gather(*itertools.chain(*args.rename, args.remove, *args.split))
        for old, new in args.rename:
            rename(old, new, sides)
        for old in args.remove:
            remove(old, sides)
        for old, *targets in args.split:
            split(old, targets, sides)
    except (Refusal, CopierError, OSError, subprocess.CalledProcessError) as error:
        undo = "to undo the update, type: git restore -SW . && git clean -fd"
        say(f"{error}; {undo}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
