"""Protection of files that were added to a stage's out, which DVC empties before the stage runs."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import files
from ..errors import Problem
from .dvc_repo import problems

if TYPE_CHECKING:
    from dvc.output import Output

SHOWN = 3


def check(only: Path | None = None) -> None:
    """Refuse to run if a stage, or DVC before it, would delete files that cannot be restored.

    With `only`, check that folder alone.

    Raises:
        Problem: a folder that a stage writes holds a file that no stage wrote.
    """
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

    with problems(), Repo() as repo:
        foreign = sorted(
            file.relative_to(repo.root_dir)
            for out in repo.index.outs
            if isinstance(out.stage, PipelineStage) and out.is_in_repo
            if only is None or Path(out.fs_path) == only.resolve()
            for file in _foreign(out)
        )
    if foreign:
        names = ", ".join(map(str, foreign[:SHOWN]))
        more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
        raise Problem(
            f"{names}{more}: no stage wrote this, and the folder is emptied before a stage writes"
            " to it: move it elsewhere, for example to inputs/, which is never emptied"
        )


def _foreign(out: "Output") -> Iterator[Path]:
    """Yield the files in an out that no stage wrote, or that were changed since."""
    folder = Path(out.fs_path)
    if not folder.is_dir() or not (unknown := files.unknown(folder)):
        return
    tree = (out.get_obj() if out.hash_info else None) or ()
    recorded = {folder.joinpath(*key): hash_info.value for key, _, hash_info in tree}
    for file in unknown:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "md5").hexdigest()
        # A file whose content is in the cache was written by an earlier run.
        if recorded.get(file) != digest and not out.repo.cache.local.exists(digest):
            yield file
