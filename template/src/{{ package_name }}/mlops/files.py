"""Files that are whole or not there, and their digests."""

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
"""Of this checkout alone: git does not see it."""
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
    """Yield an empty folder beside `target` that takes its place when the block ends well.

    A file in `target` that nothing of ours wrote, and that the new folder has not, may be
    somebody's: the old folder is kept then, and it is said where. (DVC has emptied a stage's folder
    by then: see `outs`.)
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
        if not target.is_absolute():  # else it is no out, and a pod's own folder is read-only
            write_json(_record(target), {str(file): _mark(file) for file in _files(target)})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def unknown(folder: Path) -> list[Path]:
    """Return the files of a folder other than those that `replacing` put there, as they were."""
    record = _record(folder)
    marks = read_json(record) if record.exists() else {}
    return [file for file in _files(folder) if marks.get(str(file)) != _mark(file)]


def _record(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return CACHE / "written" / f"{name}.json"


def _mark(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_size, found.st_mtime_ns]


def _files(folder: Path) -> list[Path]:
    """The files of a folder, without what Python compiled."""
    every = sorted(folder.resolve().rglob("*"))
    return [file for file in every if file.is_file() and file.parent.name != "__pycache__"]


def write_text(path: Path, text: str) -> None:
    """Write `text` at once: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that is the same bytes for the same value: sorted, and numbers of 6 decimals.

    Six decimals hide the last bits, in which sums differ from one processor to the next.
    """
    write_text(path, json.dumps(_rounded(value), indent=2, sort_keys=True) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON that an earlier stage wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"no {path}: type `make pipeline`") from None


def digest(folder: Path) -> str:
    """Give the SHA-256 of a folder's files, names and contents; the same on any machine.

    What Python compiled there is not of it.
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


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
