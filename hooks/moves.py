"""Rename, remove or split a file of the template in a team's repo, for hooks/migrate.py."""

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
    """Files of a merge by path: of the template at the last update, the team, the template now."""

    base: Files
    ours: Files
    theirs: Files


def rename(old: str, new: str, sides: Sides) -> None:
    """Move each file at or below `old` to `new`, with the team's edits."""
    for name in _below(old, sides):
        target = new + name[len(old) :]
        if name in sides.theirs:  # a later release added it again
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
    elif on_disk(Path(old)) and not on_disk(Path(new)):  # `yours`: not touched by updates
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
        _keep(name, sides, f"the template no longer has it; to remove it: {_git('rm', name)}")


def split(old: str, targets: list[str], sides: Sides) -> None:
    """Distribute the team's edits of `old` among the files that it became.

    The edits are merged with the concatenation of the new files. If a conflict extends across the
    end of one of them, the new files stay as in the template, and the edits are written to OLD.rej.
    """
    base, ours = sides.base.get(old), sides.ours.get(old)
    parts = {name: sides.theirs[name] for name in targets if name in sides.theirs}
    if not parts:
        _remove(old, sides)
    if not parts or not base or (old in sides.theirs and old not in targets):
        return
    if ours is None:
        for name in parts:
            _stay_away(old, name, sides)
        return
    if ours != base:
        occupied = any(name in sides.ours for name in parts if name != old)
        if occupied or not _share(old, parts, ours, base):
            _reject(old, ours, base)
    if old not in parts:
        discard(Path(old))


def _share(old: str, parts: Files, ours: File, base: File) -> bool:
    """Write the merged parts; return False if they cannot be separated."""
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
        # If `name` is OLD, Copier has recorded a conflict for it already.
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
    """Keep the team's file if it differs from the template's at the last update."""
    if sides.ours[name] == sides.base.get(name):
        discard(Path(name))
    else:
        write(Path(name), sides.ours[name])
        say(f"{name} is kept, because you changed it; {reason}")


def _stay_away(old: str, new: str, sides: Sides) -> None:
    """Do not restore under a new name a file that the team deleted."""
    if old in sides.base and new not in sides.ours and on_disk(Path(new)):
        discard(Path(new))
        say(f"{new} is not added, because you deleted {old}")


def _reject(old: str, ours: File, base: File) -> None:
    """Write the team's edits of `old` as a diff beside it."""
    with tempfile.TemporaryDirectory() as folder:
        for side, file in {"a": base, "b": ours}.items():
            write(Path(folder, side, old), file)
        plain = ("--no-prefix", "--no-color", "--no-ext-diff", "--no-textconv", "--binary")
        command = ["git", "diff", "--no-index", *plain, f"a/{old}", f"b/{old}"]
        diff = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE).stdout
    write(Path(f"{old}.rej"), File("100644", diff))
    say(f"{old} is split; your changes are in {old}.rej: apply them by hand, then delete it")


def _git(command: str, path: str) -> str:
    return f"git {command} {shlex.quote(path)}"


def say(line: str) -> None:
    """Print a line to stderr for the person who updates."""
    print(f"migration: {line}", file=sys.stderr)
