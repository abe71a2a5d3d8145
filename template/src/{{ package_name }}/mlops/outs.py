"""Files that somebody put into an out of a stage: DVC empties it before the stage runs."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .dvc_repo import problems
from .errors import Problem

if TYPE_CHECKING:
    from dvc.output import Output

SHOWN = 3


def check() -> None:
    """Refuse to run where DVC would delete what nothing can bring back.

    Raises:
        Problem: a folder that a stage writes holds a file that the stage did not write.
    """
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

    with problems(), Repo() as repo:
        found = sorted(
            file.relative_to(repo.root_dir)
            for out in repo.index.outs
            if isinstance(out.stage, PipelineStage) and out.is_in_repo and not out.persist
            for file in _foreign(out)
        )
    if found:
        names = ", ".join(map(str, found[:SHOWN]))
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise Problem(
            f"{names}{more}: no stage wrote this, and DVC empties the folder before a stage writes"
            " into it: move it elsewhere, as to inputs/, which no tool empties"
        )


def _foreign(out: "Output") -> Iterator[Path]:
    """Yield the files in an out that its stage did not write, and that the cache does not hold."""
    folder = Path(out.fs_path)
    if not folder.is_dir():
        return
    tree = out.get_obj() if out.hash_info else None
    written = {folder.joinpath(*key) for key, *_ in tree or ()}
    for file in folder.rglob("*"):
        if file.is_file() and file not in written and not _cached(out, file):
            yield file


def _cached(out: "Output", file: Path) -> bool:
    """Whether an earlier run wrote the file: its bytes are in DVC's cache then."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "md5").hexdigest()
    return bool(out.repo.cache.local.exists(digest))
