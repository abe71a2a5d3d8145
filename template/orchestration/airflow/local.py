"""Run a pipeline on Airflow without a server.

`python orchestration/airflow/local.py [PIPELINE] [--date DATE]`

The engine is Airflow's own `dag.test()`: dependencies, retries and timeouts apply, and tasks run
one at a time. It keeps its state in .airflow/ and ignores the user's own Airflow configuration.
`--ui` starts Airflow's UI on this machine instead. It shows the runs made here, but not their logs,
which are printed during the run.
"""

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
HOME = REPO / ".airflow"
URL = "http://127.0.0.1:8080"


def isolate() -> None:
    """Configure Airflow by environment variables only; call it before importing Airflow."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW_", "_AIRFLOW_")) or name == "MLOPS_ENV":
            del os.environ[name]
    os.environ |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",  # on this machine only
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": URL,
        # Only the output of the stages, and errors.
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.task.hooks=INFO",
        "AIRFLOW__LOGGING__CALLSITE_PARAMETERS": "",
        "AIRFLOW__LOGGING__LOG_FORMAT": "%(message)s",
    }


def migrate() -> None:
    """Create the database, or migrate that of an older Airflow."""
    from airflow.utils import db

    try:
        db.check_migrations(1)  # type: ignore[no-untyped-call]
    except TimeoutError:
        print("Airflow: preparing .airflow/airflow.db", flush=True)
        db.upgradedb()


def stop(signum: int, _: object) -> None:
    """Stop the running stage and this process; Airflow would retry after an interrupt."""
    import psutil

    stages = psutil.Process().children()
    for stage in stages:
        with suppress(ProcessLookupError):
            os.killpg(stage.pid, signal.SIGTERM)
    psutil.wait_procs(stages, timeout=30)
    print("\nstopped", file=sys.stderr, flush=True)
    os._exit(128 + signum)


def run(pipeline: str, date: str) -> int:
    """Run the pipeline; return 0 if all its stages succeeded, else 1."""
    from dags import DAGS

    if pipeline not in DAGS:
        print(f"no pipeline {pipeline!r}: type one of {', '.join(DAGS)}", file=sys.stderr)
        return 1
    migrate()
    signal.signal(signal.SIGINT, stop)
    dag = DAGS[pipeline]
    for task in dag.tasks:  # Airflow sets its own handler when it starts a task
        task.pre_execute = lambda context: signal.signal(signal.SIGTERM, stop)  # type: ignore
    result = dag.test(run_conf={"date": date})
    states = {each.task_id: each for each in result.get_task_instances()}
    print(f"\nAirflow run {result.run_id} of {dag.dag_id}: {result.state}")
    for name in dag.task_ids:
        print(f"  {name:30} {states[name].state or 'not run':16} tries: {states[name].try_number}")
    print(f"Look at it: python {Path(__file__).relative_to(REPO)} --ui   then open {URL}")
    return 0 if result.state == "success" else 1


def main() -> int:
    """Parse the command line, and run the pipeline or the UI."""
    parser = argparse.ArgumentParser(description="Run a pipeline on Airflow without a server.")
    parser.add_argument("pipeline", nargs="?", default="training")
    parser.add_argument("--date", default="", help="the day to run for, such as 2013-12-30")
    parser.add_argument("--ui", action="store_true", help="start Airflow's UI instead")
    arguments = parser.parse_args()
    isolate()
    if arguments.ui:
        os.execv(sys.executable, [sys.executable, "-m", "airflow", "api-server"])
    return run(arguments.pipeline, arguments.date)


if __name__ == "__main__":
    sys.exit(main())
