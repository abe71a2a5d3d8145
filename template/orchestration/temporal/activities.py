"""The activity that runs one stage: a local process, or a Kubernetes Job (job.py)."""

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
# Limits of the output in an error: number of lines, characters per line, bytes in total. The server
# keeps 4 KB of an attempt's failure; it rejects one of 2 MB, and then never sees that attempt end.
TAIL = 20
LINE = 500
TAIL_BYTES = 3000
PIECE = 2**16


@activity.defn
async def run_stage(call: Call) -> None:
    """Run the stage to its end.

    Raises:
        ApplicationError: the stage failed; the message ends with the last lines of its output.
        CancelledError: the run was cancelled; no process of the stage is left.
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


def failure(cause: str, tail: Iterable[str] = ()) -> ApplicationError:
    """Return the error of a failed stage: what happened, then the last lines of its output."""
    output = "\n".join(tail).replace("\0", "\N{REPLACEMENT CHARACTER}").encode()
    end = output[-TAIL_BYTES:].decode(errors="ignore")
    return ApplicationError("\n".join(filter(None, [cause[:LINE], end])))


def pieces(output: TextIO, tail: deque[str]) -> Iterator[str]:
    """Yield the output line by line, a long line in pieces; append each line's beginning to `tail`.

    A line may be endless, so only one piece of it is in memory at a time.
    """
    at_start = True
    for piece in iter(lambda: output.readline(PIECE), ""):
        if at_start:
            tail.append(piece[:LINE].rstrip())
        at_start = piece.endswith("\n")
        yield piece.rstrip()


def meaning(code: int) -> str:
    """Describe an exit code, of a process (-9) or of a shell or container (137)."""
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
        # A reset workflow keeps the run's id but gets another one itself: its stages run again.
        env=os.environ
        | {"MLOPS_ENGINE": "temporal", "MLOPS_RUN_ROUND": str(activity.info().workflow_run_id)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a separate group: the stage's children are stopped with it
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
    """Stop the rest of the process group: SIGTERM, and SIGKILL after GRACE seconds."""
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
    """Send a signal to the process group; return whether the group exists."""
    process.poll()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
        return True
    return False
