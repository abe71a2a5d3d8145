"""DVC's remote: the bytes of a stage's outs, and the entries that a run's stages leave there."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .dvc_repo import Entry, committed, label, one_line, write_lock
from .errors import Problem
from .settings import settings

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc.stage import PipelineStage


def safe(run_id: str) -> str:
    """The run's id as the name of a folder; one that has to be changed gets a digest's beginning.

    Airflow's manual__2026-01-01T00:00:00+00:00 becomes manual__2026-01-01T00-00-00-00-00-<digest>.
    """
    if not run_id.strip():
        raise Problem("the run's id is empty: type `--run-id ID`, the same for all its stages")
    name = re.sub(r"[^A-Za-z0-9._-]", "-", run_id).lstrip(".")[:100]
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return name if name == run_id else f"{name}-{digest}"


class Remote:
    """The default remote of the repo, as one run sees it.

    Its cost does not grow with what other runs left there: files are asked for by name.
    """

    def __init__(self, repo: "Repo", run: str) -> None:
        """Find the remote; nothing is asked of it yet."""
        from dvc_objects.fs.base import FileSystem

        # DVC would list all files where it takes that for faster than asking for each.
        FileSystem.CAN_TRAVERSE = False
        if not repo.config["core"].get("remote"):
            raise Problem("no default DVC remote: type `dvc remote add --default storage URL`")
        remote = repo.cloud.get_remote()
        self.repo, self.run, self.fs, self.path = repo, run, remote.fs, remote.path
        self.url = remote.fs.unstrip_protocol(remote.path)

    def ask(self) -> None:
        """Ask for a name that nothing has, to see whether it answers."""
        with self._reached(), suppress(FileNotFoundError):
            self.fs.cat_file(str(self.fs.join(self.path, "runs", "none.lock")))

    def read(self, stage: "PipelineStage") -> tuple[Entry | None, str]:
        """The entry that the stage left in this run, and under what ("" by an older platform).

        Raises:
            Problem: it is another project's, whose engine has given a run the same id.
        """
        from dvc.utils.serialize import loads_yaml

        with self._reached():
            try:
                lock = loads_yaml(self.fs.cat_file(self._entry(stage)))
            except FileNotFoundError:
                return None, ""
        own = settings().model_name
        if (project := lock.get("project", own)) != own:
            raise Problem(
                f"run {self.run} in {self.url} is a run of {project}: give {own} a folder of its"
                f" own, such as {self.url}/{own}, by `dvc remote modify` or MLOPS_DVC_REMOTE"
            )
        return lock["stages"].get(stage.name), lock.get("made_under", "")

    def write(self, stage: "PipelineStage", made_under: str) -> None:
        """Leave the stage's entry of dvc.lock; readers see all of it or nothing."""
        file = Path(".dvc/tmp/entry.lock")
        entry = {str(stage.name): committed(stage) or {}}
        write_lock(file, entry, made_under=made_under, project=settings().model_name)
        with self._reached():
            self.fs.put_file(str(file), self._entry(stage))

    def pull(self, inputs: dict[str, set[str]]) -> None:
        """Pull what a stage's deps consist of (all of no paths would be all outs of the repo)."""
        with self._reached():
            if inputs:
                self.repo.pull(sorted(set().union(*inputs.values())))

    def push(self, stage: "PipelineStage") -> None:
        """Push the stage's outs."""
        with self._reached():
            self.repo.push(stage.addressing)

    def has(self, out: "Output") -> bool:
        """Whether the bytes that the out's entry names can be pulled, if ever they have to be."""
        if not out.hash_info or not out.use_cache:
            return bool(out.hash_info)
        with self._reached():
            odb = self.repo.cloud.get_remote_odb(out.remote, hash_name=out.hash_name)
            return bool(odb.exists(out.hash_info.value))

    def _entry(self, stage: "PipelineStage") -> str:
        folders = Path(stage.path_in_repo).parent.parts
        name = f"{label(str(stage.name))}.lock"
        return str(self.fs.join(self.path, "runs", self.run, *folders, name))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each kind of remote has its own
            raise Problem(
                f"the DVC remote {self.url} fails: {one_line(error)}: "
                "check its url (`dvc remote list`) and its credentials"
            ) from error
