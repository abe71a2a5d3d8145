"""DVC's remote: contents of outs, and the lock entries that the stages of a run store there."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Problem
from ..settings import settings
from .dvc_repo import Entry, committed, label, one_line, write_lock

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc.stage import PipelineStage


def safe(run_id: str) -> str:
    """Return the run ID as a folder name, with part of a digest if it had to be changed.

    Airflow's manual__2026-01-01T00:00:00+00:00 becomes manual__2026-01-01T00-00-00-00-00-<digest>.
    """
    if not run_id.strip():
        raise Problem("the run ID is empty: type `--run-id ID`, the same for all stages of the run")
    name = re.sub(r"[^A-Za-z0-9._-]", "-", run_id).lstrip(".")[:100]
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return name if name == run_id else f"{name}-{digest}"


class Remote:
    """The default remote of the repo, as one run sees it.

    Its cost does not grow with the number of other runs: files are looked up by name, not listed.
    """

    def __init__(self, repo: "Repo", run: str) -> None:
        """Look up the configured remote, without accessing it."""
        from dvc_objects.fs.base import FileSystem

        # Otherwise DVC lists all files where it estimates that to be faster than single lookups.
        FileSystem.CAN_TRAVERSE = False
        if not repo.config["core"].get("remote"):
            raise Problem("no default DVC remote: type `dvc remote add --default storage URL`")
        remote = repo.cloud.get_remote()
        self.repo, self.run, self.fs, self.path = repo, run, remote.fs, remote.path
        self.url = remote.fs.unstrip_protocol(remote.path)

    def ask(self) -> None:
        """Look up a file that does not exist, to check that the remote responds."""
        with self._reached(), suppress(FileNotFoundError):
            self.fs.cat_file(str(self.fs.join(self.path, "runs", "none.lock")))

    def read(self, stage: "PipelineStage") -> tuple[Entry | None, str]:
        """Return the stage's entry in this run and its `made_under` ("" from an older platform).

        Raises:
            Problem: the entry is another project's, whose engine used the same run ID.
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
                f" own, such as {self.url}/{own}, with `dvc remote modify` or MLOPS_DVC_REMOTE"
            )
        return lock["stages"].get(stage.name), lock.get("made_under", "")

    def write(self, stage: "PipelineStage", made_under: str) -> None:
        """Store the stage's entry of dvc.lock; readers see all of it or nothing."""
        file = Path(".dvc/tmp/entry.lock")
        entry = {str(stage.name): committed(stage) or {}}
        write_lock(file, entry, made_under=made_under, project=settings().model_name)
        with self._reached():
            self.fs.put_file(str(file), self._entry(stage))

    def pull(self, inputs: dict[str, set[str]]) -> None:
        """Pull the paths of a stage's inputs."""
        with self._reached():
            if inputs:  # without paths, DVC would pull all outs of the repo
                self.repo.pull(sorted(set().union(*inputs.values())))

    def push(self, stage: "PipelineStage") -> None:
        """Push the stage's outs."""
        with self._reached():
            self.repo.push(stage.addressing)

    def has(self, out: "Output") -> bool:
        """Return True if the content that the out's entry names can be pulled when needed."""
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
        except Exception as error:  # each kind of remote has its own exceptions
            raise Problem(
                f"the DVC remote {self.url} failed: {one_line(error)}: "
                "check its URL (`dvc remote list`) and its credentials"
            ) from error
