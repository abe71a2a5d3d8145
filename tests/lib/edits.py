"""Edits like a team's: each kind of edit, in files of each class; a seed decides the rest."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path

from releases import commit, file_owners, tree

CLASSES = ("yours", "platform", "shared", "tools")
# Only Copier writes the answers file; `copier update` refuses an edited one or follows the edit.
NOT_BY_HAND = {".copier-answers.yml"}


# The kind of edit, the class of the file, and a seed that chooses the file, the line and the text.
Edit = tuple[str, str, int]


def work(folder: Path, edits: Iterable[Edit], fresh: Path) -> None:
    """Apply some edits to a repo and commit them.

    The class of a file is read from `fresh`, a repo of the latest release: early releases did not
    record it.
    """
    for number, (kind, owner, seed) in enumerate(edits):
        dice = random.Random(f"{number} {kind} {owner} {seed}")
        names = sorted(set(tree(folder)) - NOT_BY_HAND)
        owners = file_owners(fresh, names)
        candidates = [x for x in names if owners[x] == owner and not (folder / x).is_symlink()]
        if candidates:
            KINDS[kind](folder / dice.choice(candidates), dice)
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


def _folder(path: Path, dice: random.Random) -> None:
    """Replace a file by a folder of the same name."""
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "own").write_bytes(content + _line(dice) + b"\n")


def _package(path: Path, dice: random.Random) -> None:
    """Replace a module by a package of the same name."""
    content = path.read_bytes()
    path.unlink()
    path.with_suffix("").mkdir(exist_ok=True)
    (path.with_suffix("") / "__init__.py").write_bytes(content + _line(dice) + b"\n")


KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "append": _append,
    "change": _change,
    "insert": _insert,
    "delete": _delete,
    "rename": _rename,
    "add": _add,
    "chmod": _chmod,
}

OF_MOVED = (_append, _change, _delete, _rename, _folder, _package)


def work_on_moved(folder: Path, names: Iterable[str], seed: int) -> None:
    """Edit files that an update moves, each in one of the ways, and commit."""
    dice = random.Random(seed)
    for number, name in enumerate(names):
        OF_MOVED[number % len(OF_MOVED)](folder / name, dice)
    commit(folder)
