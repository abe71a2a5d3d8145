"""HTTP/1.1 connections: uvicorn's protocol, with limits on the size and the time of requests.

uvicorn limits neither the head of a request nor the time it takes to arrive, and it drops the body
of a request that offers another protocol, such as `Upgrade: h2c`. This module overrides methods of
asyncio's protocol and callbacks of httptools' parser.
"""

import asyncio
import http
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .parsing import wrong

MAX_CONNECTIONS = 2_000
"""Open connections per process; beyond that, an idle connection is closed for a new one."""
MAX_HEAD = 32 * 1024
"""Bytes in a request line and its headers."""
MAX_PIPELINED = 64
"""Requests that a connection may send before the first one is answered."""
RECEIVE_SECONDS = 10.0
"""Time limit for the head of a request, and for a body that nobody reads."""
LINGER_SECONDS = 1.0
"""Time to discard input of a refused client: closing at once could destroy the response."""


class Parser(httptools.HttpRequestParser):
    """A parser that ignores offers of another protocol."""

    def __init__(self, connection: "Connection") -> None:
        """Parse for a connection, whose callbacks are called."""
        super().__init__(connection)
        self._connection = connection

    def feed_data(self, data: Any) -> None:
        """Parse received data."""
        while True:
            try:
                super().feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                # The data after the head counts as the other protocol: parse both again.
                data = self._connection.without_offer() + data[offer.args[0] :]


class Connection(HttpToolsProtocol):
    """A connection whose requests are bounded in size and time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of uvicorn's protocol."""
        super().__init__(*args, **kwargs)
        self.parser = Parser(self)
        self._deadline: asyncio.TimerHandle | None = None
        self._receiving = self._in_head = self._began = self._offered = self._refused = False
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, if necessary by closing an idle one."""
        super().connection_made(transport)
        self._wait(RECEIVE_SECONDS)
        if len(self.connections) > MAX_CONNECTIONS:
            others = (other for other in self.connections if other is not self)
            if idle := next((other for other in others if not busy(other)), None):
                idle.transport.abort()
            else:
                self._refuse(503, "too many connections: try again")

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer."""
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received data, and enforce the limits."""
        if self._refused:
            return
        self._began = False
        super().data_received(data)
        if self._in_head and not self._began:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(431, f"the headers are longer than {MAX_HEAD} bytes")
        if busy(self) and not self._receiving:
            self._wait(None)
        elif self._deadline is None:
            self._wait(RECEIVE_SECONDS)

    def on_message_begin(self) -> None:
        """Note the start of a request."""
        self._receiving = self._in_head = self._began = True
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start answering the request, unless its head must be parsed again."""
        if len(self.pipeline) >= MAX_PIPELINED or self.parser.get_method() == b"CONNECT":
            raise httptools.HttpParserError
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > MAX_HEAD:
            self._refuse(431, f"the headers are longer than {MAX_HEAD} bytes")
            raise httptools.HttpParserError
        self._in_head = False
        self._offered = self.parser.should_upgrade()
        if not self._offered:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        if not self._offered:
            self._receiving = False
            super().on_message_complete()

    def without_offer(self) -> bytes:
        """Return the head of the last request, without its offer to upgrade."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def send_400_response(self, msg: str) -> None:
        """Refuse input that is not HTTP, in the format of all errors."""
        self._refuse(400, msg)

    def _refuse(self, status: int, message: str) -> None:
        if self._refused or self.transport.is_closing():
            return
        body = self._receiving and not self._in_head and not self.pipeline
        if busy(self) and not (body and not self.cycle.response_started):
            self.cycle.keep_alive = (
                False  # its response comes first, and then the connection closes
            )
            return
        self._refused = True
        content = orjson.dumps({"errors": [wrong(message)]})
        retry = "retry-after: 1\r\n" if status == 503 else ""
        head = (
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n{retry}connection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self.transport.write_eof()
        self._wait(LINGER_SECONDS)

    def _wait(self, seconds: float | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._late) if seconds else None

    def _late(self) -> None:
        self._deadline = None
        if self._refused:
            self.transport.abort()
        elif self._in_head:
            self._refuse(408, f"the request did not arrive within {RECEIVE_SECONDS:g} s")
        elif not busy(self):
            self.transport.close()
        elif self._receiving:  # the app reads the body, with a limit of its own
            self._wait(RECEIVE_SECONDS)


def busy(connection: Any) -> bool:
    """Return whether a connection has a request that is not fully answered."""
    return connection.cycle is not None and not connection.cycle.response_complete
