"""Edits as a team makes them, of each kind, in files of each class; a seed decides the rest."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from releases import commit, tree, whose

CLASSES = ("yours", "platform", "shared", "tools")
# The answers file is Copier's to write; where it was edited, `copier update` refuses or obeys.
NOT_BY_HAND = {".copier-answers.yml"}


# A kind, the class of the file, and a seed that chooses the file, the place and the words.
Edit = tuple[str, str, int]


def work(folder: Path, edits: Iterable[Edit], fresh: Path) -> None:
    """Do some edits in a repo and commit them.

    A repo of an early release cannot say whose a file is, so `fresh`, one of the latest, does.
    """
    for number, (kind, owner, seed) in enumerate(edits):
        dice = random.Random(f"{number} {kind} {owner} {seed}")
        names = sorted(set(tree(folder)) - NOT_BY_HAND)
        owners = whose(fresh, names)
        there = [x for x in names if owners[x] == owner and not (folder / x).is_symlink()]
        if there:
            KINDS[kind](folder / dice.choice(there), dice)
    commit(folder)


def _line(dice: random.Random) -> bytes:
    return b"# the team's line %d" % dice.randrange(10**9)


def _append(path: Path, dice: random.Random) -> None:
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines, _line(dice), b""]))


def _change(path: Path, dice: random.Random) -> None:
    lines = path.read_bytes().splitlines() or [b""]
    lines[dice.randrange(len(lines))] = _line(dice)
    path.write_bytes(b"\n".join([*lines, b""]))


def _insert(path: Path, dice: random.Random) -> None:
    lines = path.read_bytes().splitlines()
    lines.insert(len(lines) // 2, _line(dice))
    path.write_bytes(b"\n".join([*lines, b""]))


def _delete(path: Path, dice: random.Random) -> None:
    path.unlink()


def _rename(path: Path, dice: random.Random) -> None:
    path.rename(path.with_name(f"team_{dice.randrange(10**9)}_{path.name}"))


def _add(path: Path, dice: random.Random) -> None:
    new = path.with_name(f"{dice.choice(['a', 'a b', 'é'])}{dice.randrange(10**9)}{path.suffix}")
    match dice.choice(["text", "unfinished", "binary", "empty", "link"]):
        case "text":
            new.write_bytes(b"\n".join(_line(dice) for _ in range(5)) + b"\n")
        case "unfinished":
            new.write_bytes(_line(dice))
        case "binary":
            new.write_bytes(dice.randbytes(2000))
        case "empty":
            new.touch()
        case "link":
            new.symlink_to(path.name)


def _chmod(path: Path, dice: random.Random) -> None:
    path.chmod(path.stat().st_mode ^ 0o111)


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "append": _append,
    "change": _change,
    "insert": _insert,
    "delete": _delete,
    "rename": _rename,
    "add": _add,
    "chmod": _chmod,
}
