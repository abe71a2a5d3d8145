"""Commands of a generated repo that serve HTTP until they are stopped."""

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
    """Run a command with `PORT=…` appended until the block ends, and yield its URL.

    The command is ready when it responds to the path `ready`. At the end, only the command itself
    gets SIGTERM, as from a supervisor, and all processes that it started must end too.
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
            # Processes may need a moment to end on a busy machine.
            deadline = time.monotonic() + MOMENT
            while time.monotonic() < deadline:
                os.killpg(server.pid, 0)
                time.sleep(0.1)
            os.killpg(server.pid, signal.SIGKILL)
            raise AssertionError(f"{server.args!r} ended, but left processes running")


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url) as response:
                assert response.status == 200
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{server.args!r} does not respond: {log.read_text()}")
