"""Run one stage where there is nothing but the repo's files: what an engine's node does.

A run is known by its environment and its id. Each of its stages leaves its entry of dvc.lock in
DVC's remote, as runs/<environment>/<run id>/<stage>.lock; the stages after it learn there which
bytes to pull.

A stage that always runs does so once in a run under the same variables (`made_under`): an engine's
retry finds it done. Where a person starts a stage of the run again, the engine's $MLOPS_RUN_ROUND
is another, and the stage does its work again; those not started again are inputs as they are.
"""

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from .dvc_repo import Entry, address, committed, lock_file, overlap, problems, write_lock
from .errors import Problem
from .remote import Remote, safe
from .scratch import environment, scratch
from .settings import settings

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage, Stage


def run(name: str, run_id: str, date: str = "") -> None:
    """Run the stage with the address `name`; skip it where its inputs are those of its entry.

    Its command finds `date`, unless it is empty, as $MLOPS_DATE.

    Raises:
        Problem: the stage, the remote, an input or the entry of a stage before it is not there, or
            the command failed; the run then has no new entry.
    """
    run, variables = f"{settings().environment}/{safe(run_id)}".lstrip("/"), made_under(date)
    with problems(), scratch(settings().root) as folder:
        from dvc.repo import Repo, lock_repo

        with Repo(str(folder)) as repo:
            remote = Remote(repo, run)
            _remove_outs(repo)
            finished = _write_locks(*_find(repo, name), remote) == variables
            with lock_repo(repo):  # DVC reads the locks anew
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
    """Return a digest of the variables that the platform's commands read; it tells no secret."""
    found = {**os.environ, **({"MLOPS_DATE": date} if date else {})}
    read = {n: found[n] for n in found if n.startswith("MLOPS_") or n == "MLFLOW_TRACKING_URI"}
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def _remove_outs(repo: "Repo") -> None:
    """Without git to tell files from outs, the copy may hold outs of the repo's own runs."""
    from dvc.stage import PipelineStage

    for out in repo.index.outs:
        if isinstance(out.stage, PipelineStage) and out.is_in_repo:
            out.remove()


def _find(repo: "Repo", name: str) -> tuple["PipelineStage", list["Stage"]]:
    """The stage with this address, and the stages that write what it reads."""
    from dvc.stage import PipelineStage

    stages = {address(s): s for s in repo.index.stages if isinstance(s, PipelineStage)}
    if name not in stages:
        raise Problem(f"no stage {name!r}: type one of {', '.join(sorted(stages))}")
    return stages[name], list(repo.index.graph.successors(stages[name]))


def _write_locks(stage: "PipelineStage", upstream: list["Stage"], remote: Remote) -> str:
    """Write the dvc.lock that holds for this stage in this run; return what its own was made under.

    The stages before it in its own file must have run in this run. Those of another file are inputs
    from outside: their committed entries do.
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
                f"{where} has no entry of {address(each)}, whose outs {address(stage)} reads: "
                f"type `{hint.format(address(each))}` first"
            )
    for file, entries in locks.items():
        write_lock(file, entries)
    own: str = recorded[stage][1]
    return own


def _inputs(stage: "PipelineStage", upstream: list["Stage"]) -> dict[str, set[str]]:
    """The paths of the outs, or of the parts of outs, that each of the stage's deps consists of."""
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
    """Whether the stage's entry was made from the inputs of now, and its outs are in the remote.

    Where every dep is an out, the entries' digests tell; else only the files themselves do. An out
    that persists tells of what lies elsewhere, and may be other there: each run makes it. (A folder
    persists for the sake of what people put there.)
    """
    if not finished and any(out.persist and not out.hash_info.isdir for out in stage.outs):
        return False
    if not committed(stage) or not all(remote.has(out) for out in stage.outs):
        return False
    if not inputs.keys() <= {out.fs_path for up in upstream for out in up.outs}:
        remote.pull(inputs)
    if finished:  # a stage that always runs does so once in a run
        stage.always_changed = False
        if stage.is_callback:
            return not stage.changed_stage()
    # DVC passes over a missing dep, unless the entry of the out of the same path differs.
    return not stage.changed(allow_missing=True, upstream=upstream)
