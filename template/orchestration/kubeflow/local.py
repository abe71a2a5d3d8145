"""Run a pipeline on Kubeflow's local runner.

`python orchestration/kubeflow/local.py [PIPELINE] [--date DATE]`

The engine is `kfp.local` with its subprocess runner: dependencies and retries apply, and tasks run
one at a time. Each run has a folder in .kubeflow/, where <stage>.tries has one line per attempt.
"""

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from kfp import dsl, local
from pipeline import REPO, Kind, Stage, build, named, pipelines

# In the repo's environment; this process has another one.
MLOPS = f"{os.environ.get('MLOPS_BIN', '.venv/bin')}/mlops"


def run(command: list, date: str, timeout: int, tries: str) -> None:  # type: ignore[type-arg]
    """Run the command; Kubeflow copies this function, and runs it in a separate process."""
    import os
    import signal
    import subprocess
    import sys

    process = subprocess.Popen([*command, "--date", date], start_new_session=True)
    with open(tries, "a") as file:  # noqa: PTH123
        file.write(f"{process.pid} ")
        file.flush()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            print(f"{' '.join(command)}: stopped after {timeout} s", flush=True)
            os.killpg(process.pid, signal.SIGTERM)
            code = process.wait() or 1
        file.write(f"{code}\n")
    sys.exit(code)


def process(folder: Path) -> Kind:
    """Return stages as processes in the repo's environment, with attempts logged in `folder`."""

    def kind(stage: Stage, run_id: str, date: str) -> dsl.PipelineTask:
        component = dsl.component(run, base_image="python", install_kfp_package=False)
        return named(component, stage)(
            command=[MLOPS, "stage", stage["stage"], "--run-id", run_id],
            date=date,
            timeout=stage["timeout"],
            tries=str(folder / f"{stage['id']}.tries"),
        )

    return kind


def tries(folder: Path, stage: Stage) -> list[list[str]]:
    """Return each attempt of the stage: its process id and, once it has ended, its exit code."""
    file = folder / f"{stage['id']}.tries"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def state(attempts: list[list[str]]) -> str:
    """Return the state of a stage: not run, success or failed."""
    if not attempts:
        return "not run"
    return "success" if attempts[-1][1:] == ["0"] else "failed"


def main() -> int:
    """Run the pipeline; return 0 if all its stages succeeded."""
    parser = argparse.ArgumentParser(description="Run a pipeline on Kubeflow's local runner.")
    parser.add_argument("pipeline", nargs="?", default="training")
    parser.add_argument("--date", default="", help="the day to run for, such as 2013-12-30")
    arguments = parser.parse_args()
    name = arguments.pipeline
    if name not in pipelines():
        print(f"no pipeline {name!r}: type one of {', '.join(pipelines())}", file=sys.stderr)
        return 1
    stages = pipelines()[name]
    os.chdir(REPO)
    now = datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S-")
    Path(".kubeflow").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-{now}", dir=".kubeflow"))

    def stop(signum: int, frame: object) -> None:
        """Stop the running stage and this process."""
        for pid in [int(a[0]) for stage in stages for a in tries(folder, stage) if len(a) == 1]:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
                for _ in range(300):
                    os.kill(pid, 0)
                    time.sleep(0.1)
        print("\nstopped", file=sys.stderr, flush=True)
        os._exit(128 + signum)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    logging.captureWarnings(True)
    local.init(
        local.SubprocessRunner(use_venv=False), pipeline_root=str(folder), raise_on_error=False
    )
    build(name, stages, process(folder), run_id=folder.name, backoff="2s")(date=arguments.date)
    states = {stage["id"]: state(tries(folder, stage)) for stage in stages}
    succeeded = set(states.values()) == {"success"}
    print(f"\nKubeflow run {folder.name}: {'success' if succeeded else 'failed'}")
    for stage in stages:
        count = len(tries(folder, stage))
        print(f"  {stage['id']:30} {states[stage['id']]:16} tries: {count}")
    print(f"Look at it: ls {folder}   (Kubeflow's local runner has no UI)")
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
