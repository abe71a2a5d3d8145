"""What hooks/migrate.py does with a file that a release renames, removes or splits."""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from merging import CONFLICT, MARKER, File, discard, git, merge, on_disk, record, write

Files = dict[str, File]


class Sides(NamedTuple):
    """The files of a merge by path: the template's of the last update, the team's, today's."""

    base: Files
    ours: Files
    theirs: Files


def rename(old: str, new: str, sides: Sides) -> None:
    """Give each file at or below `old` its place at `new`, with the team's edits."""
    for name in _below(old, sides):
        target = new + name[len(old) :]
        if name in sides.theirs:  # a later release has it again
            continue
        if target in sides.theirs:
            _move(name, target, sides)
        elif name not in sides.base and not on_disk(Path(target)):
            write(Path(target), sides.ours[name])
            discard(Path(name))
            say(f"{name}, which is yours, is now {target}")
        else:
            _remove(name, sides)


def _move(old: str, new: str, sides: Sides) -> None:
    base, ours, theirs = sides.base.get(old), sides.ours.get(old), sides.theirs[new]
    if ours is None:
        _stay_away(old, new, sides)
    elif base is None or new in sides.ours:
        _keep(old, sides, f"its new place {new} is taken")
    elif on_disk(Path(old)) and not on_disk(Path(new)):  # an update does not touch it: yours
        write(Path(new), ours)
        discard(Path(old))
    else:
        merged, conflict = merge(ours, base, theirs)
        write(Path(new), merged)
        discard(Path(old))
        if conflict:
            record(new, base, ours, theirs, gone=old)
            say(f"{new}, which was {old}, has a conflict: resolve it, then {_git('add', new)}")


def remove(old: str, sides: Sides) -> None:
    """Remove each file at or below `old`, but keep it if the team changed it."""
    for name in _below(old, sides):
        _remove(name, sides)


def _remove(name: str, sides: Sides) -> None:
    if name in sides.base and name in sides.ours and name not in sides.theirs:
        _keep(name, sides, f"the template has it no more; without it: {_git('rm', name)}")


def split(old: str, news: list[str], sides: Sides) -> None:
    """Share the team's edits of `old` out among the files that it became.

    They are merged with the new files one after another. Where that gives a conflict across the
    end of one, the new files stay as the template has them, and the edits go to OLD.rej.
    """
    base, ours = sides.base.get(old), sides.ours.get(old)
    parts = {name: sides.theirs[name] for name in news if name in sides.theirs}
    if not parts:
        _remove(old, sides)
    if not parts or not base or (old in sides.theirs and old not in news):
        return
    if ours is None:
        for name in parts:
            _stay_away(old, name, sides)
        return
    if ours != base:
        taken = any(name in sides.ours for name in parts if name != old)
        if taken or not _share(old, parts, ours, base):
            _reject(old, ours, base)
    if old not in parts:
        discard(Path(old))


def _share(old: str, parts: Files, ours: File, base: File) -> bool:
    """Write the merged parts and give True, or False where they cannot be told apart."""
    if any(part.data and not part.data.endswith(b"\n") for part in parts.values()):
        return False
    end = f"{uuid4()}\n".encode()
    whole = File(base.mode, end.join(part.data for part in parts.values()))
    pieces = merge(ours, base, whole)[0].data.split(end)
    if len(pieces) != len(parts) or any(MARKER.search(CONFLICT.sub(b"", x)) for x in pieces):
        return False
    settled = merge(ours, base, whole, "--ours")[0].data.split(end)
    for (name, part), piece, side in zip(parts.items(), pieces, settled, strict=True):
        mode = ours.mode if ours.mode != base.mode else part.mode
        # Copier recorded a conflict of its own if `name` is OLD.
        git("--literal-pathspecs", "reset", "--quiet", "--", name)
        write(Path(name), File(mode, piece))
        if CONFLICT.search(piece):
            record(name, None, File(mode, side), part, gone="" if old in parts else old)
            say(f"{name} has a conflict: resolve it, then {_git('add', name)}")
    return True


def _below(old: str, sides: Sides) -> list[str]:
    names = sides.base.keys() | sides.ours.keys()
    return sorted(name for name in names if name == old or name.startswith(f"{old}/"))


def _keep(name: str, sides: Sides, reason: str) -> None:
    """Leave the team its file if it is not just the template's of the last update."""
    if sides.ours[name] == sides.base.get(name):
        discard(Path(name))
    else:
        write(Path(name), sides.ours[name])
        say(f"{name} is kept, because you changed it; {reason}")


def _stay_away(old: str, new: str, sides: Sides) -> None:
    """Do not bring back under another name what the team deleted."""
    if old in sides.base and new not in sides.ours and on_disk(Path(new)):
        discard(Path(new))
        say(f"{new} stays away, because you deleted {old}")


def _reject(old: str, ours: File, base: File) -> None:
    """Write the team's edits of `old` as a diff beside it."""
    with tempfile.TemporaryDirectory() as folder:
        for side, file in {"a": base, "b": ours}.items():
            write(Path(folder, side, old), file)
        plain = ("--no-prefix", "--no-color", "--no-ext-diff", "--no-textconv", "--binary")
        command = ["git", "diff", "--no-index", *plain, f"a/{old}", f"b/{old}"]
        diff = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE).stdout
    write(Path(f"{old}.rej"), File("100644", diff))
    say(f"{old} is split; your changes are in {old}.rej: bring them in by hand, then delete it")


def _git(verb: str, path: str) -> str:
    return f"git {verb} {shlex.quote(path)}"


def say(line: str) -> None:
    """Tell the people who update."""
    print(f"migration: {line}", file=sys.stderr)
