"""The activity that runs one stage: a process of this machine, or a Kubernetes Job (job.py)."""

import asyncio
import contextlib
import contextvars
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TextIO

from graph import REPO, Call
from temporalio import activity
from temporalio.exceptions import ApplicationError
from workflow import WORKER_STOPPED

MLOPS = REPO / os.environ.get("MLOPS_BIN", ".venv/bin") / "mlops"
POLL = 0.1
GRACE = 10.0
# What an error repeats of a stage's output: so many lines, so much of each and of all together. The
# server keeps 4 KB of an attempt's failure; one of 2 MB it refuses, and never learns of the end.
TAIL = 20
LINE = 500
TAIL_BYTES = 3000
PIECE = 2**16


@activity.defn
async def run_stage(call: Call) -> None:
    """Run the stage to its end.

    Raises:
        ApplicationError: it failed; the message ends with the last lines of its output.
        CancelledError: the run was cancelled; nothing of the stage is left running.
    """
    if attempt := activity.info().attempt - 1:
        activity.logger.info("%s: retry %d of %d", call.stage.id, attempt, call.stage.retries)
    try:
        await (_job(call) if os.environ.get("MLOPS_IMAGE") else _process(call))
    except asyncio.CancelledError:
        why = activity.cancellation_details()
        if why and why.worker_shutdown:
            raise ApplicationError(
                "the worker stopped", type=WORKER_STOPPED, non_retryable=True
            ) from None
        raise


def failure(what: str, tail: Iterable[str] = ()) -> ApplicationError:
    """The error of a stage that failed: what happened, then the last lines of its output."""
    output = "\n".join(tail).replace("\0", "\N{REPLACEMENT CHARACTER}").encode()
    end = output[-TAIL_BYTES:].decode(errors="ignore")
    return ApplicationError("\n".join(filter(None, [what[:LINE], end])))


def pieces(output: TextIO, tail: deque[str]) -> Iterator[str]:
    """Yield the output line by line, a long line in pieces; append each line's beginning to `tail`.

    A line may have no end: no more than a piece of it is ever in memory.
    """
    begins = True
    for piece in iter(lambda: output.readline(PIECE), ""):
        if begins:
            tail.append(piece[:LINE].rstrip())
        begins = piece.endswith("\n")
        yield piece.rstrip()


def meaning(code: int) -> str:
    """What an exit code says, be it a process's (-9) or a shell's and a container's (137)."""
    number = -code if code < 0 else code - 128
    if number in set(signal.Signals):
        return f"killed by {signal.Signals(number).name}"
    return f"exited with {code}"


async def _job(call: Call) -> None:
    import job  # the Kubernetes client takes a second to import

    await job.run(call)


async def _process(call: Call) -> None:
    command = [str(MLOPS), *call.arguments]
    if not MLOPS.exists():
        raise ApplicationError(f"no {MLOPS}: type `make setup`", non_retryable=True)
    process = subprocess.Popen(
        command,
        cwd=REPO,
        # A reset workflow has the run's id, and another of its own: its stages work again.
        env=os.environ
        | {"MLOPS_ENGINE": "temporal", "MLOPS_RUN_ROUND": str(activity.info().workflow_run_id)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a group of its own: the stage's children are ended with it
    )
    tail: deque[str] = deque(maxlen=TAIL)
    reader = threading.Thread(
        target=contextvars.copy_context().run,
        args=(_read, process.stdout, call.stage.id, tail),
        daemon=True,
    )
    reader.start()
    end = time.monotonic() + call.stage.timeout
    try:
        while process.poll() is None and time.monotonic() < end:
            activity.heartbeat()
            await asyncio.sleep(POLL)
        code = process.returncode
    finally:
        await _stop(process)
        reader.join(timeout=GRACE)
    if code is None:
        raise failure(f"ran longer than {call.stage.timeout} s", tail.copy())
    if code:
        raise failure(meaning(code), tail.copy())


def _read(output: TextIO, stage: str, tail: deque[str]) -> None:
    with output:
        for piece in pieces(output, tail):
            activity.logger.info("%s | %s", stage, piece)


async def _stop(process: subprocess.Popen[str]) -> None:
    """End what is left of the process's group: SIGTERM, and SIGKILL after a grace."""
    end = time.monotonic() + GRACE
    try:
        _signal(process, signal.SIGTERM)
        while _signal(process, 0) and time.monotonic() < end:
            activity.heartbeat()
            await asyncio.sleep(POLL)
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[str], number: int) -> bool:
    """Send it to the process's group; say whether there is one."""
    process.poll()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
        return True
    return False
