"""A verb of a generated repo that answers over HTTP until it is stopped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from repos import Repo

SECONDS = 120
MOMENT = 10


@contextmanager
def running(repo: Repo, log: Path, ready: str, *command: str) -> Iterator[str]:
    """Run a command with `PORT=…` behind it, until the block ends; gives where it answers.

    It is ready when it answers the path `ready`. In the end the command alone is told to stop, as a
    supervisor does it, and nothing that it started may stay.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as stream:
        server = subprocess.Popen(
            [*command, f"PORT={port}"],
            cwd=repo.folder,
            env=repo.env,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{url}{ready}", server, log)
        yield url
    finally:
        server.terminate()
        server.wait(SECONDS)
        with suppress(ProcessLookupError):
            # Processes that were told to stop may need a moment on a busy machine.
            until = time.monotonic() + MOMENT
            while time.monotonic() < until:
                os.killpg(server.pid, 0)
                time.sleep(0.1)
            os.killpg(server.pid, signal.SIGKILL)
            raise AssertionError(f"{server.args!r} ends, and what it started stays")


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            with urlopen(url) as answer:
                assert answer.status == 200
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{server.args!r} does not answer: {log.read_text()}")
