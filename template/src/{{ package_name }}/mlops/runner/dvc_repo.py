"""Helpers for DVC that `mlops graph` and `mlops stage` share: addresses, IDs, one-line errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ..errors import Problem

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.stage import PipelineStage

Entry = dict[str, Any]
"""One stage's entry in dvc.lock."""


def address(stage: "PipelineStage") -> str:
    """Return the stage's address for `mlops stage`, and for `dvc repro` in the repo's root."""
    file = PurePath(stage.path_in_repo).as_posix()
    return str(stage.name) if file == "dvc.yaml" else f"{file}:{stage.name}"


def label(name: str) -> str:
    """Return the name as a DNS-1035 label, which every engine accepts: score@0 becomes score-0."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def overlap(dep: "Output", out: "Output") -> str | None:
    """Return the inner path if `dep` and `out` are the same or one lies in the other."""
    if dep.protocol != out.protocol:
        return None
    if out.fs.isin_or_eq(dep.fs_path, out.fs_path):
        return str(dep.fs_path)
    return str(out.fs_path) if out.fs.isin(out.fs_path, dep.fs_path) else None


def lock_file(stage: "PipelineStage") -> Path:
    """Return the path of the dvc.lock beside the stage's dvc.yaml."""
    return Path(stage.path).with_suffix(".lock")


def committed(stage: "PipelineStage") -> Entry | None:
    """Return the stage's entry in its dvc.lock, or None."""
    from dvc.utils.serialize import load_yaml

    lock = load_yaml(lock_file(stage)) if lock_file(stage).exists() else {}
    entry: Entry | None = lock.get("stages", {}).get(stage.name)
    return entry


def write_lock(file: Path, entries: dict[str, Entry], **more: str) -> None:
    """Write a file in the format of dvc.lock; one with `more` keys is not for DVC to read."""
    from dvc.utils.serialize import dump_yaml

    dump_yaml(file, {"schema": "2.0", "stages": entries, **more})


@contextmanager
def problems() -> Iterator[None]:
    """Turn DVC's exceptions into a Problem, with the messages of their causes, in one line."""
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise Problem(one_line(error)) from error


def one_line(error: BaseException | None) -> str:
    """Return the messages of an error and its causes, without repetitions."""
    lines: list[str] = []
    while error:
        line = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        if not any(line in other for other in lines):
            lines.append(line)
        error = error.__cause__
    return ": ".join(lines)
