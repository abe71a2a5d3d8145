"""Run one stage as an engine's node does: with the repo's files and DVC's remote alone.

A run is identified by its environment and its ID. Each of its stages stores its entry of dvc.lock
in DVC's remote, as runs/<environment>/<run id>/<stage>.lock, where later stages look up what to
pull.

A stage that always runs does so once per run and set of variables (`made_under`), so an engine's
retry skips it. When someone restarts a stage of the run, the engine sets another $MLOPS_RUN_ROUND,
and the stage runs again; stages that were not restarted are inputs as they are.
"""

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Problem
from ..settings import settings
from .dvc_repo import Entry, address, committed, lock_file, overlap, problems, write_lock
from .remote import Remote, safe
from .workspace import environment, scratch

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage, Stage


def run(name: str, run_id: str, date: str = "") -> None:
    """Run the stage with the address `name`; skip it if its entry has the same inputs.

    Its command gets `date`, unless it is empty, as $MLOPS_DATE.

    Raises:
        Problem: the stage, the remote, an input or an upstream entry is missing, or the command
            failed; no new entry is stored then.
    """
    run, variables = f"{settings().environment}/{safe(run_id)}".lstrip("/"), made_under(date)
    with problems(), scratch(settings().root) as folder:
        from dvc.repo import Repo, lock_repo

        with Repo(str(folder)) as repo:
            remote = Remote(repo, run)
            _remove_outs(repo)
            finished = _write_locks(*_find(repo, name), remote) == variables
            with lock_repo(repo):  # DVC reloads the lock files
                stage, upstream = _find(repo, name)
                inputs = _inputs(stage, upstream)
                if _unchanged(stage, upstream, inputs, remote, finished):
                    print(f"{name}: nothing changed, skipped", flush=True)
                    if finished:
                        return
                else:
                    start = time.monotonic()
                    remote.pull(inputs)
                    env = environment(settings(), folder, run_id, date)
                    repo.reproduce(stage.addressing, single_item=True, force=True, run_env=env)
                    remote.push(stage)
                    print(f"{name}: done in {time.monotonic() - start:.1f} s", flush=True)
                remote.write(stage, variables)


def made_under(date: str) -> str:
    """Return a digest of the variables that the platform's commands read; it reveals none."""
    env = {**os.environ, **({"MLOPS_DATE": date} if date else {})}
    variables = {n: env[n] for n in env if n.startswith("MLOPS_") or n == "MLFLOW_TRACKING_URI"}
    return hashlib.sha256(json.dumps(variables, sort_keys=True).encode()).hexdigest()


def _remove_outs(repo: "Repo") -> None:
    """Remove outs of the repo's own runs, which are in the copy if Git did not list the files."""
    from dvc.stage import PipelineStage

    for out in repo.index.outs:
        if isinstance(out.stage, PipelineStage) and out.is_in_repo:
            out.remove()


def _find(repo: "Repo", name: str) -> tuple["PipelineStage", list["Stage"]]:
    """Return the stage with this address, and the stages that write its inputs."""
    from dvc.stage import PipelineStage

    stages = {address(s): s for s in repo.index.stages if isinstance(s, PipelineStage)}
    if name not in stages:
        raise Problem(f"no stage {name!r}: type one of {', '.join(sorted(stages))}")
    return stages[name], list(repo.index.graph.successors(stages[name]))


def _write_locks(stage: "PipelineStage", upstream: list["Stage"], remote: Remote) -> str:
    """Write the lock files for this stage in this run; return the `made_under` of its own entry.

    Upstream stages of the same file must have run in this run. Those of another file are external
    inputs, for which the committed entries are enough.
    """
    from dvc.stage import PipelineStage

    stages = [stage, *(up for up in upstream if isinstance(up, PipelineStage))]
    with ThreadPoolExecutor() as pool:
        recorded = dict(zip(stages, pool.map(remote.read, stages), strict=True))
    locks: dict[Path, dict[str, Entry]] = {lock_file(each): {} for each in stages}
    for each, (entry, _) in recorded.items():
        inside = each.path == stage.path
        if not entry and (each is stage or not inside):
            entry = committed(each)
        if entry:
            locks[lock_file(each)][str(each.name)] = entry
        elif each is not stage:
            where = f"run {remote.run} in {remote.url}" if inside else "dvc.lock"
            hint = "mlops stage {} --run-id ID" if inside else "dvc repro {} && dvc push"
            raise Problem(
                f"{where} has no entry for {address(each)}, whose outs {address(stage)} reads: "
                f"type `{hint.format(address(each))}` first"
            )
    for file, entries in locks.items():
        write_lock(file, entries)
    own: str = recorded[stage][1]
    return own


def _inputs(stage: "PipelineStage", upstream: list["Stage"]) -> dict[str, set[str]]:
    """Return the outs, or parts of outs, that each of the stage's deps consists of, as paths."""
    inputs: dict[str, set[str]] = {}
    for dep in stage.deps:
        paths = {path for up in upstream for out in up.outs if (path := overlap(dep, out))}
        if paths:
            inputs[dep.fs_path] = paths
        elif not dep.exists:
            raise Problem(f"{address(stage)} reads {dep}: no such file, and no stage writes it")
    return inputs


def _unchanged(
    stage: "PipelineStage",
    upstream: list["Stage"],
    inputs: dict[str, set[str]],
    remote: Remote,
    finished: bool,
) -> bool:
    """Return True if the stage's entry has the current inputs and its outs are in the remote.

    If every dep is an out, comparing the entries' digests is enough; otherwise the files are
    pulled. A file with `persist` describes data elsewhere that may have changed, so each run makes
    it. (A folder has `persist` to keep the files that people put there.)
    """
    if not finished and any(out.persist and not out.hash_info.isdir for out in stage.outs):
        return False
    if not committed(stage) or not all(remote.has(out) for out in stage.outs):
        return False
    if not inputs.keys() <= {out.fs_path for up in upstream for out in up.outs}:
        remote.pull(inputs)
    if finished:  # a stage that always runs does so once per run
        stage.always_changed = False
        if stage.is_callback:
            return not stage.changed_stage()
    # DVC ignores a missing dep unless the entry of the out with the same path differs.
    return not stage.changed(allow_missing=True, upstream=upstream)
