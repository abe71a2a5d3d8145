"""Files that somebody put into an out of a stage: DVC empties it before the stage runs."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from . import files
from .dvc_repo import problems
from .errors import Problem

if TYPE_CHECKING:
    from dvc.output import Output

SHOWN = 3


def check(only: Path | None = None) -> None:
    """Refuse to run where a stage, or DVC before it, would delete what nothing can bring back.

    With `only`, one folder is looked at.

    Raises:
        Problem: a folder that a stage writes holds a file that the stage did not write.
    """
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

    with problems(), Repo() as repo:
        found = sorted(
            file.relative_to(repo.root_dir)
            for out in repo.index.outs
            if isinstance(out.stage, PipelineStage) and out.is_in_repo
            if only is None or Path(out.fs_path) == only.resolve()
            for file in _foreign(out)
        )
    if found:
        names = ", ".join(map(str, found[:SHOWN]))
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise Problem(
            f"{names}{more}: no stage wrote this, and the folder is emptied before a stage writes"
            " into it: move it elsewhere, as to inputs/, which no tool empties"
        )


def _foreign(out: "Output") -> Iterator[Path]:
    """Yield the files in an out that no stage wrote, or that somebody changed since."""
    folder = Path(out.fs_path)
    if not folder.is_dir() or not (unknown := files.unknown(folder)):
        return
    tree = (out.get_obj() if out.hash_info else None) or ()
    recorded = {folder.joinpath(*key): found.value for key, _, found in tree}
    for file in unknown:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "md5").hexdigest()
        # What the cache holds, an earlier run wrote.
        if recorded.get(file) != digest and not out.repo.cache.local.exists(digest):
            yield file
