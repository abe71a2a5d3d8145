"""Run a pipeline on Temporal's development server: local.py [PIPELINE] [--date DATE].

The server keeps its state in .temporal/; the worker runs in this process.
"""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime

from graph import REPO, Pipeline, pipelines, project
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment
from worker import command, worker
from workflow import PipelineWorkflow

STATE = REPO / ".temporal"


async def run(pipeline: Pipeline) -> int:
    """Run the pipeline to its end; return 0 if all its stages are done."""
    STATE.mkdir(exist_ok=True)
    id = f"{project()}.{pipeline.name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=shutil.which("temporal"),
        download_dest_dir=str(STATE),
        dev_server_database_filename=str(STATE / "temporal.db"),
        dev_server_log_level="error",
    ) as server:
        end = await _run(server.client, pipeline, id)
    temporal = shutil.which("temporal") or next(STATE.glob("temporal-*"), "temporal")
    print(f"Look at it: {temporal} server start-dev --db-filename {STATE / 'temporal.db'}")
    print(f"and open http://localhost:8233/namespaces/default/workflows/{id}")
    return 1 if end else 0


async def _run(client: Client, pipeline: Pipeline, id: str) -> str:
    # A separate queue, so that this worker does not resume an earlier, killed run.
    async with worker(client, id, max_concurrent_activities=os.cpu_count()):
        handle = await client.start_workflow(PipelineWorkflow.run, pipeline, id=id, task_queue=id)
        print(f"workflow {id}\nrun {handle.result_run_id}", flush=True)
        end = await _end(handle)
        states = await handle.query(PipelineWorkflow.states)
    print(f"workflow {id}: {end or 'done'}")
    for stage in pipeline.stages:
        print(f"  {stage.id:<20}  {states[stage.id]}")
    return end


async def _end(handle: WorkflowHandle[PipelineWorkflow, dict[str, str]]) -> str:
    """Return how the workflow failed, or ""; a signal cancels the workflow."""
    me = asyncio.current_task()
    assert me
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, me.cancel)
    try:
        try:
            await handle.result()
        except asyncio.CancelledError:
            await handle.cancel()
            await handle.result()
    except WorkflowFailureError as error:
        return "cancelled" if isinstance(error.cause, CancelledError) else f"failed\n{error.cause}"
    return ""


def _brief(record: logging.LogRecord) -> bool:
    """Keep the reason why an attempt failed, without the SDK's traceback."""
    if record.exc_info:
        record.msg, record.args = "attempt failed: %s", (record.exc_info[1],)
        record.exc_info = None
    return True


def main() -> int:
    """Parse the command line, and run the pipeline."""
    parser = argparse.ArgumentParser(description="Run a pipeline on Temporal's development server.")
    parser.add_argument("pipeline", nargs="?", default="training")
    parser.add_argument("--date", default="", help="the day to run for, such as 2013-12-30")
    arguments = parser.parse_args()
    name, graphs = arguments.pipeline, pipelines()
    if name not in graphs:
        raise SystemExit(f"no pipeline {name!r}: type one of {', '.join(graphs)}")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("temporalio.worker").setLevel(logging.WARNING)
    logging.getLogger("temporalio.activity").addFilter(_brief)
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False
    try:
        return asyncio.run(run(replace(graphs[name], date=arguments.date)))
    except RuntimeError as error:
        raise SystemExit(
            f"{error}\nInstall Temporal's CLI, so that `temporal` is on PATH"
        ) from None


if __name__ == "__main__":
    command(main)
