"""Add the template to an existing repo: add missing files, overwrite nothing.

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
    """The result, as paths in the repo.

    Attributes:
        added: the files that were missing.
        differing: the files that stay the team's, with the git object of the template's version.
        ignored: the template's files that the team's .gitignore excludes.
    """

    added: list[Path]
    differing: dict[Path, str]
    ignored: list[str]


def adopt(folder: Path, answers: dict[str, Any], *, ask: bool, ref: str | None = None) -> Adopted:
    """Add the template's files to the repo in `folder`, without a commit.

    Existing files are not changed. A later update treats them as the template's files with the
    team's edits, so git must track every file that differs.

    Args:
        folder: a folder in a git repository, without uncommitted changes.
        answers: the given answers; the others are asked for, or take their defaults.
        ask: whether to ask for missing answers.
        ref: a ref of the template; by default its latest release, or HEAD if there is none.

    Raises:
        Refusal: the repo cannot be adopted; nothing was written.
    """
    _check(folder)
    with tempfile.TemporaryDirectory() as scratch:
        rendered = Path(scratch, "copy")
        copy(rendered, answers, ask=ask, ref=ref)
        paths = sorted(x.relative_to(rendered) for x in rendered.rglob("*") if x.is_file())
        if obstacles := dict.fromkeys(x for path in paths if (x := _obstacle(folder, path))):
            raise Refusal(f"nothing is written: {'; '.join(obstacles)}. Move it, and commit")
        missing = [path for path in paths if not os.path.lexists(folder / path)]
        changed = [x for x in paths if x not in missing and _differ(folder / x, rendered / x)]
        ignored = git(folder, "check-ignore", "--", *map(str, paths), check=False).splitlines()
        if untracked := [str(path) for path in changed if str(path) in ignored]:
            raise Refusal(
                "nothing is written: an update would overwrite files that git ignores. Type: git -C"
                f" {shlex.quote(str(folder))} add --force {shlex.join(untracked)}, and commit"
            )
        differing = {x: git(folder, "hash-object", "-w", str(rendered / x)) for x in changed}
        _write(folder, rendered, missing)
    return Adopted(missing, differing, ignored)


def _check(folder: Path) -> None:
    """Refuse a repo that cannot be adopted, before any question is asked."""
    if not folder.is_dir() or not git(folder, "rev-parse", "--show-toplevel", check=False):
        raise Refusal(f"{folder} is not a git repository; for a new one: make new DEST={folder}")
    if os.path.lexists(folder / ANSWERS_FILE):
        raise Refusal(f"{folder} already follows a template. Type there: copier update")
    if git(folder, "status", "--porcelain"):
        raise Refusal(f"{folder} has uncommitted changes. Commit or stash them first")


def _obstacle(folder: Path, path: Path) -> str | None:
    """Return what blocks the path of a template file, which no update could get past."""
    for parent in list(path.parents)[-2::-1]:
        if (folder / parent).is_symlink():
            return f"{parent} is a link, but a folder in the template"
        if (folder / parent).exists() and not (folder / parent).is_dir():
            return f"{parent} is a file, but a folder in the template"
    if (folder / path).is_dir() and not (folder / path).is_symlink():
        return f"{path} is a folder, but a file in the template"
    return None


def _differ(existing: Path, rendered: Path) -> bool:
    return existing.is_symlink() or existing.read_bytes() != rendered.read_bytes()


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
    """Return the summary: added and differing files, and what to type next."""
    lines = [f"{len(adopted.added)} files were added to {folder}, and none was overwritten."]
    if adopted.differing:
        lines += [
            "",
            "These files differ from the template's and stay yours; updates treat them as edited.",
            "Git can show the differences for at least two weeks; template lines have a minus:",
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
            "Next, type:",
            "",
            f"    cd {shlex.quote(str(folder))}",
            f'    git add --all{force} && git commit -m "Adopt copier-mlops"',
        ]
    )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Add this template to an existing repo.")
    parser.add_argument("folder", type=Path, help="a git repository without uncommitted changes")
    parser.add_argument("--answers", type=Path, help="a YAML file of answers; asks no questions")
    parser.add_argument(
        "--ref", help="tag or branch of the template, or HEAD (default: latest tag)"
    )
    args = parser.parse_args()
    try:
        answers = read_answers(args.answers) if args.answers else {}
        adopted = adopt(args.folder, answers, ask=args.answers is None, ref=args.ref)
    except Refusal as refusal:
        print(f"make adopt: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make adopt: interrupted; nothing is written", file=sys.stderr)
        return 130
    print(_report(args.folder, adopted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
