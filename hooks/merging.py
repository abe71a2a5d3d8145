"""Read, write and merge files with their git modes, and record conflicts in the index."""

import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

LABELS = ("before updating", "last update", "after updating")  # as Copier names the sides
CONFLICT = re.compile(rb"^<{7} before updating\n.*?^>{7} after updating\n", re.M | re.S)
MARKER = re.compile(rb"^(<{7} before|>{7} after) updating$", re.M)


class File(NamedTuple):
    """A file: git's mode (100644, 100755, or 120000 for a link), and its bytes or its target."""

    mode: str
    data: bytes


def git(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run git in the working directory and return its output."""
    return subprocess.run(
        ["git", *arguments], input=stdin, stdout=subprocess.PIPE, check=True
    ).stdout


def committed(*paths: str) -> dict[str, File]:
    """Return the files at and below these paths in HEAD, by path from the working directory."""
    files = {}
    for entry in git("ls-tree", "-r", "-z", "HEAD", "--", *paths).split(b"\0")[:-1]:
        attributes, name = entry.split(b"\t", 1)
        mode, kind, oid = attributes.decode().split()
        if kind == "blob":
            files[os.fsdecode(name)] = File(mode, git("cat-file", "blob", oid))
    return files


def on_disk(path: Path) -> File | None:
    """Read a file or a link; None if there is neither."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        return File("120000", os.fsencode(path.readlink()))
    if stat.S_ISREG(mode):
        return File("100755" if mode & stat.S_IXUSR else "100644", path.read_bytes())
    return None


def write(path: Path, file: File) -> None:
    """Write a file or a link, replacing an existing one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if file.mode == "120000":
        path.symlink_to(os.fsdecode(file.data))
        return
    path.write_bytes(file.data)
    if file.mode == "100755":
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o444) >> 2)  # executable for everybody who may read it


def discard(path: Path) -> None:
    """Remove a file from disk and index, and the parent folders that are empty then.

    In the index only, it would count as a file that the platform deleted.
    """
    path.unlink(missing_ok=True)
    git("update-index", "--force-remove", "--", str(path))
    for folder in path.parents[:-1]:
        if folder.is_dir():
            if any(folder.iterdir()):
                return
            folder.rmdir()


def merge(ours: File, base: File, theirs: File, *options: str) -> tuple[File, bool]:
    """Merge the team's file with the template's new one; `base` is their common ancestor.

    Returns:
        The merged file, and whether it contains a conflict between markers. If git cannot merge it
        (a link, binary data), the team's file, in conflict.
    """
    mode = ours.mode if ours.mode != base.mode else theirs.mode
    if ours.data in (base.data, theirs.data):
        return File(mode, theirs.data), False
    if theirs.data == base.data:
        return File(mode, ours.data), False
    if "120000" in (ours.mode, base.mode, theirs.mode):
        return ours, True
    with tempfile.TemporaryDirectory() as folder:
        sides = [Path(folder, name) for name in ("ours", "base", "theirs")]
        for side, file in zip(sides, (ours, base, theirs), strict=True):
            side.write_bytes(file.data)
        labels = [word for label in LABELS for word in ("-L", label)]
        command = ["git", "merge-file", "-p", *options, *labels, *map(str, sides)]
        done = subprocess.run(command, capture_output=True)
    if done.returncode > 127:
        return ours, True
    return File(mode, done.stdout), done.returncode > 0


def record(path: str, base: File | None, ours: File, theirs: File, *, gone: str = "") -> None:
    """Record a conflict in the index, so that git refuses to commit until it is resolved.

    The file `gone` is removed from the index: `git commit --all` would fail if it took the two for
    a rename.
    """
    name = git("rev-parse", "--show-prefix")[:-1] + os.fsencode(path)
    entries = []
    for stage, file in enumerate((base, ours, theirs), start=1):
        if file:
            oid = git("hash-object", "-w", "--stdin", stdin=file.data).strip()
            entries.append(b"%s %s %d\t%s" % (file.mode.encode(), oid, stage, name))
    entries.insert(0, b"0 %s\t%s" % (b"0" * len(oid), name))
    git("update-index", "-z", "--index-info", stdin=b"".join(entry + b"\0" for entry in entries))
    if gone:
        git("update-index", "--force-remove", "--", gone)
