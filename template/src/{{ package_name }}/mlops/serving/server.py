"""Start the service: locally with the production model, or in a pod with a mounted model."""

import asyncio
import gc
import os
import signal
import socket
from contextlib import suppress
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from .. import files
from ..errors import Problem
from . import telemetry
from .connection import Connection
from .settings import read

MODEL = files.DATA / "serving" / "model"
LOG = files.DATA / "serving" / "log"


def run(port: int) -> None:
    """Serve $MLOPS_MODEL; if unset, fetch the production model and fill the online store."""
    settings = read()
    # A batch uses one thread, so that the next requests are read and checked meanwhile.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    listening = listen(settings.host, port)
    if not settings.model:
        # These need libraries of training, which the image of the service does not have.
        from ..registry import fetch
        from . import materialize

        fetch.run(MODEL)
        materialize.run()
        log = settings.prediction_log or str(LOG.resolve())
        settings = settings.model_copy(update={"model": MODEL.resolve(), "prediction_log": log})
        print(f"Try it in a browser:  http://{settings.host}:{port}/docs", flush=True)
    from .app import create

    serve(create(settings), listening, settings.drain_seconds)


def serve(app: FastAPI, listening: socket.socket, drain_seconds: float = 5) -> None:
    """Serve until a signal arrives, and answer for some seconds more."""
    telemetry.log()
    # Objects made so far stay: checking them for garbage would take a tenth of a second.
    gc.collect()
    gc.freeze()
    # Reference counting frees almost everything that a request leaves.
    gc.set_threshold(10_000, 10, 10)
    with suppress(KeyboardInterrupt):
        server = Draining(config(app), drain_seconds)
        if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # a closed terminal, without nohup
            signal.signal(signal.SIGHUP, server.handle_exit)
        server.run([listening])


def config(app: FastAPI) -> uvicorn.Config:
    """Return the server's configuration for an app."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        access_log=False,
        log_config=None,
        # uvicorn's variable names the proxies to trust; without it, none is.
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
        # Longer than gateways keep idle connections: if they close first, no request breaks.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=20,
    )


def listen(host: str, port: int) -> socket.socket:
    """Bind the port.

    Raises:
        Problem: another process uses it, or it needs more rights.
    """
    try:
        listening = socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise Problem(f"port {port}: {error.strerror}: type another, as in PORT=8001") from None
    # Connections inherit it: those of clients that do not read are dropped.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    return listening


class Draining(uvicorn.Server):
    """A server that, on SIGTERM, reports for a while that it is not ready, and only then stops.

    Clients get that time to notice; their requests are still answered, and connections are closed
    one by one, after a response. Closing an idle connection at once could lose a request that is
    already on its way.
    """

    def __init__(self, config: uvicorn.Config, seconds: float) -> None:
        """Drain for `seconds`."""
        super().__init__(config)
        self._seconds = seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal; an interactive or a second one stops the server at once."""
        app = cast(FastAPI, self.config.app)
        stop = super().handle_exit
        if sig != signal.SIGTERM or not app.state.ready:
            stop(sig, frame)
            return
        app.state.ready = False
        self._loop.call_soon_threadsafe(self._loop.call_later, self._seconds, stop, sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Keep the event loop, for signals that arrive outside of it."""
        self._loop = asyncio.get_running_loop()
        app = cast(FastAPI, self.config.app)
        app.state.requests = self.server_state.tasks
        await super().startup(sockets)
