"""The worker for a cluster: serves the project's task queue until SIGTERM.

Environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_… (all variables
of Temporal's own tools), TEMPORAL_TASK_QUEUE (default: the project's name and MLOPS_ENVIRONMENT),
MLOPS_METRICS (an address such as 0.0.0.0:9464 for Prometheus), and the variables of job.py.
"""

import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from activities import run_stage
from graph import scope
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Worker
from workflow import PipelineWorkflow


def queue() -> str:
    """Return the task queue for the pipelines of this environment."""
    return os.environ.get("TEMPORAL_TASK_QUEUE") or scope()


def worker(client: Client, task_queue: str, **options: Any) -> Worker:
    """Return a worker for the workflow and its activity."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[PipelineWorkflow],
        activities=[run_stage],
        # A stage learns of its cancellation by its heartbeat.
        max_heartbeat_throttle_interval=timedelta(seconds=2),
        **options,
    )


async def connect() -> Client:
    """Connect to the server named in the environment, or exit with one line."""
    settings = ClientConfig.load_client_connect_config()
    settings.setdefault("target_host", "localhost:7233")
    runtime = None
    if address := os.environ.get("MLOPS_METRICS"):
        metrics = PrometheusConfig(bind_address=address)
        runtime = Runtime(telemetry=TelemetryConfig(metrics=metrics))
    try:
        return await Client.connect(**settings, runtime=runtime)
    except RuntimeError as error:
        raise SystemExit(
            f"no Temporal server at {settings['target_host']}, set TEMPORAL_ADDRESS: {error}"
        ) from None


def command(main: Callable[[], int | None]) -> NoReturn:
    """Run `main`, and end the process with its exit code, without Python's shutdown.

    The shutdown sometimes aborts, because threads of the SDK end late (issue 300 of
    temporalio/sdk-python).
    """
    try:
        code = main() or 0
    except SystemExit as error:
        print(error, file=sys.stderr)
        code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def main() -> None:
    """Work until a signal arrives; Jobs continue, and the next worker attaches to them."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with worker(await connect(), queue()):
        logging.info("serving task queue %s", queue())
        await stop.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    command(lambda: asyncio.run(main()))
