"""Atomic writing of files and folders, and digests of folders."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import Problem

CACHE = Path(".cache/mlops")
"""Belongs to this checkout; git ignores it."""
DATA = Path("data")
RAW = DATA / "raw"
FEATURES = DATA / "features"
DATASET = DATA / "dataset"
BATCH = DATA / "batch"
ROWS = BATCH / "rows"
PRODUCTION = BATCH / "model"
MODEL = Path("model")
REPORTS = Path("reports")
METRICS = REPORTS / "metrics.json"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield an empty folder next to `target` that replaces it if the block succeeds.

    A file in `target` that this function did not write, and that the new folder lacks, may be the
    user's own: the old folder is then kept, and its new place is printed. (DVC empties a stage's
    folder before the stage runs: see `outs`.)
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        if any(
            not (scratch / file.relative_to(target.resolve())).exists() for file in unknown(target)
        ):
            kept = Path(tempfile.mkdtemp(prefix=f"{target.name}-kept-", dir=target.parent))
            target.rename(kept / target.name)
            print(f"{target} had files that were not written again: they are in {kept}/")
        elif target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
        # An absolute target is not an out, and the working directory of a pod is read-only.
        if not target.is_absolute():
            write_json(_record(target), {str(file): _mark(file) for file in _files(target)})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def unknown(folder: Path) -> list[Path]:
    """Return the files of a folder that `replacing` did not write or that changed since."""
    record = _record(folder)
    marks = read_json(record) if record.exists() else {}
    return [file for file in _files(folder) if marks.get(str(file)) != _mark(file)]


def _record(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return CACHE / "written" / f"{name}.json"


def _mark(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder, except compiled Python."""
    paths = sorted(folder.resolve().rglob("*"))
    return [file for file in paths if file.is_file() and file.parent.name != "__pycache__"]


def write_text(path: Path, text: str) -> None:
    """Write a text atomically: a reader sees either the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys and floats of six decimals: equal values give equal bytes.

    Six decimals hide the last bits, in which sums differ between processors.
    """
    write_text(path, json.dumps(_rounded(value), indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON that an earlier stage wrote.

    Raises:
        Problem: there is no such file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"no {path}: type `make pipeline`") from None


def digest(folder: Path) -> str:
    """Return the SHA-256 of a folder's file names and contents; the same on every machine.

    Compiled Python does not count.

    Raises:
        Problem: there is no such folder.
    """
    if not folder.is_dir():
        raise Problem(f"no {folder}/: type `make pipeline`")
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.parent.name == "__pycache__":
            continue
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{content}  {file.relative_to(folder).as_posix()}\n".encode())
    return total.hexdigest()


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
