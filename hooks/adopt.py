"""Put the template under a repo that exists: add what is missing, overwrite nothing.

usage: python hooks/adopt.py FOLDER [--answers FILE] [--ref REF]
"""

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from shared import ANSWERS_FILE, Refusal, copy, git, read_answers


class Adopted(NamedTuple):
    """What came of it, as paths in the repo.

    Attributes:
        added: the files that were missing.
        differing: the files that stay the team's, with the git object that holds the template's.
        ignored: the template's files that the team's rules keep out of git.
    """

    added: list[Path]
    differing: dict[Path, str]
    ignored: list[str]


def adopt(folder: Path, answers: dict[str, Any], *, ask: bool, ref: str | None = None) -> Adopted:
    """Add the template's files to the repo in `folder`, for its people to look at and to commit.

    A file that is there stays as it is. To a later update it is the template's with the team's
    edits, so everything that differs must be known to git.

    Args:
        folder: in a git repository, without changes.
        answers: those that are known; the others are asked for, or take their defaults.
        ask: whether somebody is there to answer.
        ref: of the template; None is its latest release, or HEAD where there is none.
    """
    _check(folder)
    with tempfile.TemporaryDirectory() as scratch:
        rendered = Path(scratch, "copy")
        copy(rendered, answers, ask=ask, ref=ref)
        paths = sorted(x.relative_to(rendered) for x in rendered.rglob("*") if x.is_file())
        if obstacles := dict.fromkeys(x for path in paths if (x := _obstacle(folder, path))):
            raise Refusal(f"nothing is written: {'; '.join(obstacles)}. Move that, and commit")
        missing = [path for path in paths if not os.path.lexists(folder / path)]
        theirs = [x for x in paths if x not in missing and _differ(folder / x, rendered / x)]
        ignored = git(folder, "check-ignore", "--", *map(str, paths), check=False).splitlines()
        if lost := [str(path) for path in theirs if str(path) in ignored]:
            raise Refusal(
                "nothing is written: an update would overwrite what git ignores. Type: git -C"
                f" {shlex.quote(str(folder))} add --force {shlex.join(lost)}, and commit"
            )
        differing = {x: git(folder, "hash-object", "-w", str(rendered / x)) for x in theirs}
        _write(folder, rendered, missing)
    return Adopted(missing, differing, ignored)


def _check(folder: Path) -> None:
    """Refuse what cannot be adopted, before anybody is asked a question."""
    if not folder.is_dir() or not git(folder, "rev-parse", "--show-toplevel", check=False):
        raise Refusal(f"{folder} is no git repository; for a new one: make new DEST={folder}")
    if os.path.lexists(folder / ANSWERS_FILE):
        raise Refusal(f"{folder} follows a template already. Type in it: copier update")
    if git(folder, "status", "--porcelain"):
        raise Refusal(f"{folder} has changes that are not committed. Commit or stash them first")


def _obstacle(folder: Path, path: Path) -> str | None:
    """Say what stands where Copier needs a folder or a file: no update could go past it."""
    for parent in list(path.parents)[-2::-1]:
        if (folder / parent).is_symlink():
            return f"{parent} is a link, and a folder in the template"
        if (folder / parent).exists() and not (folder / parent).is_dir():
            return f"{parent} is a file, and a folder in the template"
    if (folder / path).is_dir() and not (folder / path).is_symlink():
        return f"{path} is a folder, and a file in the template"
    return None


def _differ(theirs: Path, ours: Path) -> bool:
    return theirs.is_symlink() or theirs.read_bytes() != ours.read_bytes()


def _write(folder: Path, rendered: Path, paths: list[Path]) -> None:
    """Write the files, or none of them."""
    written: list[Path] = []
    try:
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            written.append(folder / path)
            shutil.copy(rendered / path, folder / path)
    except BaseException as error:
        for file in written:
            file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise Refusal(f"nothing is written: {error}") from None
        raise


def _report(folder: Path, adopted: Adopted) -> str:
    """Say what differs, how to see it, and what to type next."""
    lines = [f"{len(adopted.added)} files are new in {folder}, and none is overwritten."]
    if adopted.differing:
        lines += [
            "",
            "These differ from the template's and stay yours; an update takes that for your edits.",
            "For two weeks at least git shows how; lines with a minus are the template's:",
            "",
            *(
                f"    git diff {blob[:12]} -- {shlex.quote(str(path))}"
                for path, blob in adopted.differing.items()
            ),
        ]
    force = f" && git add --force {shlex.join(adopted.ignored)}" if adopted.ignored else ""
    return "\n".join(
        [
            *lines,
            "",
            "What to type next:",
            "",
            f"    cd {shlex.quote(str(folder))}",
            f'    git add --all{force} && git commit -m "Adopt copier-mlops"',
        ]
    )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Put this template under a repo that exists.")
    parser.add_argument("folder", type=Path, help="a git repository without changes")
    parser.add_argument("--answers", type=Path, help="a YAML file of answers; nothing is asked")
    parser.add_argument(
        "--ref", help="of the template: a tag, a branch, HEAD (default: latest tag)"
    )
    given = parser.parse_args()
    try:
        answers = read_answers(given.answers) if given.answers else {}
        adopted = adopt(given.folder, answers, ask=given.answers is None, ref=given.ref)
    except Refusal as refusal:
        print(f"make adopt: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make adopt: stopped; nothing is written", file=sys.stderr)
        return 130
    print(_report(given.folder, adopted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
