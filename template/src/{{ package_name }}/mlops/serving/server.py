"""Start the service: here, with what is registered here, or in a pod, with what lies there."""

import asyncio
import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from .. import files
from ..errors import Problem
from . import telemetry
from .connection import Connection

MODEL = files.DATA / "serving" / "model"
LOG = files.DATA / "serving" / "log"


def run(port: int) -> None:
    """Serve $MLOPS_MODEL; without it, fetch the model in production and fill the online store."""
    # A batch is one thread's: the next requests are read and checked meanwhile.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    host = os.environ.get("MLOPS_HOST", "127.0.0.1")
    listening = listen(host, port)
    if "MLOPS_MODEL" not in os.environ:
        # The libraries of training, which an image of the service does not have.
        from .. import materialize, production

        production.run(MODEL)
        materialize.run()
        os.environ["MLOPS_MODEL"] = str(MODEL.resolve())
        os.environ.setdefault("MLOPS_PREDICTION_LOG", str(LOG.resolve()))
        print(f"Try it in a browser:  http://{host}:{port}/docs", flush=True)
    from .app import create

    serve(create(), listening)


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Answer until a signal comes."""
    telemetry.log()
    # What is in memory now stays: to walk through it for garbage would take a tenth of a second.
    gc.collect()
    gc.freeze()
    # Of what a request leaves, a reference counted to nothing frees almost all.
    gc.set_threshold(10_000, 10, 10)
    # The prediction log's thread keeps an answer waiting so many seconds, and not ten times that.
    sys.setswitchinterval(0.0005)
    with suppress(KeyboardInterrupt):
        server = Draining(config(app), float(os.environ.get("MLOPS_DRAIN_SECONDS", "5")))
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # a terminal closed, without nohup
            signal.signal(signal.SIGHUP, server.handle_exit)
        server.run([listening])


def config(app: FastAPI) -> uvicorn.Config:
    """Return how the server answers for an app."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        access_log=False,
        log_config=None,
        # uvicorn's variable names whom to believe what they forward; without it, nobody.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
        # Longer than gateways keep idle connections: who closes first breaks no request.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=20,
    )


def listen(host: str, port: int) -> socket.socket:
    """Take the port.

    Raises:
        Problem: another process has it, or it needs more rights.
    """
    try:
        listening = socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise Problem(f"port {port}: {error.strerror}: type another, as in PORT=8001") from None
    if hasattr(
        socket, "TCP_USER_TIMEOUT"
    ):  # its connections have it too: who does not read is left
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    return listening


class Draining(uvicorn.Server):
    """Told to stop, it says for a while that it is not ready; what comes until then is answered.

    Who sends requests has that time to notice, and kept connections are closed one by one, after
    an answer. An idle one that were closed at once could have a request on its way.
    """

    def __init__(self, config: uvicorn.Config, seconds: float) -> None:
        """Drain for so many seconds."""
        super().__init__(config)
        self._seconds = seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal; a person's, and a second one, is not waited for."""
        app: Any = self.config.app
        stop = super().handle_exit
        if sig != signal.SIGTERM or not app.state.ready:
            stop(sig, frame)
            return
        app.state.ready = False
        self._loop.call_soon_threadsafe(self._loop.call_later, self._seconds, stop, sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Remember the loop, for signals come without one."""
        self._loop = asyncio.get_running_loop()
        app: Any = self.config.app
        app.state.requests = self.server_state.tasks
        await super().startup(sockets)
