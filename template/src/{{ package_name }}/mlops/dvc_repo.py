"""What `mlops graph` and `mlops stage` both know of DVC: addresses, ids, and errors in a line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from .errors import Problem

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.stage import PipelineStage

Entry = dict[str, Any]
"""A stage's part of dvc.lock."""


def address(stage: "PipelineStage") -> str:
    """What `mlops stage` and `dvc repro`, started in the repo's root, call the stage."""
    file = PurePath(stage.path_in_repo).as_posix()
    return str(stage.name) if file == "dvc.yaml" else f"{file}:{stage.name}"


def label(name: str) -> str:
    """The name as a DNS-1035 label, which every engine takes: score@0 becomes score-0."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def overlap(dep: "Output", out: "Output") -> str | None:
    """The path that a stage with `dep` needs of `out`: one lies in the other, or they are one."""
    if dep.protocol != out.protocol:
        return None
    if out.fs.isin_or_eq(dep.fs_path, out.fs_path):
        return str(dep.fs_path)
    return str(out.fs_path) if out.fs.isin(out.fs_path, dep.fs_path) else None


def lock_file(stage: "PipelineStage") -> Path:
    """The dvc.lock beside the stage's dvc.yaml."""
    return Path(stage.path).with_suffix(".lock")


def committed(stage: "PipelineStage") -> Entry | None:
    """The stage's entry in its dvc.lock."""
    from dvc.utils.serialize import load_yaml

    lock = load_yaml(lock_file(stage)) if lock_file(stage).exists() else {}
    entry: Entry | None = lock.get("stages", {}).get(stage.name)
    return entry


def write_lock(file: Path, entries: dict[str, Entry], **more: str) -> None:
    """Write a file of dvc.lock's form; `more` is nothing that DVC may read."""
    from dvc.utils.serialize import dump_yaml

    dump_yaml(file, {"schema": "2.0", "stages": entries, **more})


@contextmanager
def problems() -> Iterator[None]:
    """Turn DVC's exceptions into a Problem: its message and those of its causes, in one line."""
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise Problem(one_line(error)) from error


def one_line(error: BaseException | None) -> str:
    """The message of an error and of its causes, without repetitions."""
    lines: list[str] = []
    while error:
        line = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        if not any(line in other for other in lines):
            lines.append(line)
        error = error.__cause__
    return ": ".join(lines)
