"""Read and validate request bodies in bounded memory and time."""

import asyncio
import codecs
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from .schema import Row

MAX_BODY = 1024 * 1024
MAX_BODIES = 64 * 1024 * 1024
"""Bytes of all bodies that are being read, or whose response is pending."""
DROPPED = 8 * MAX_BODY
"""Bytes to read of an oversized body: a client that is still sending may miss the response."""
BODY_SECONDS = 10.0
ERRORS = 20
"""Maximum number of errors reported for one body."""
NAME = 100
"""Maximum length of a field name in an error."""

ENCODINGS = "gzip, deflate"
GZIP_OR_ZLIB = zlib.MAX_WBITS + 32
CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "iso-8859-1": "iso-8859-1",
    "windows-1252": "windows-1252",
    "utf-16": "utf-16",
}
TYPES = ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream")
"""Default content types of clients such as curl; such bodies are read as JSON."""


class RequestError(Exception):
    """A request that is answered with a status other than 200."""

    def __init__(self, status: int, *errors: dict[str, Any]) -> None:
        """Take the status, and errors made by `wrong`."""
        self.status, self.errors = status, errors


@dataclass
class Room:
    """Number of bytes of all bodies in memory."""

    taken: int = 0


class Body:
    """A request body; its bytes are counted in the room until the `with` block ends."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room) -> None:
        """Start with no bytes counted."""
        self._room, self._size = room, 0

    def __enter__(self) -> "Body":
        """Return the body itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the counted bytes."""
        self._room.taken -= self._size

    async def read(self, request: Request) -> bytes:
        """Return the whole body, decompressed and in UTF-8; it need not be JSON.

        Raises:
            RequestError: it is too long, too slow or incomplete, or its encoding is not supported.
        """
        headers = dict(request.scope["headers"])
        if b"expect" in headers and int(headers.get(b"content-length", 0)) > MAX_BODY:
            raise _too_long()  # the client has sent nothing yet
        content, dropped = bytearray(), 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    if dropped or len(content) + len(chunk) > MAX_BODY:
                        dropped += len(chunk)
                    else:
                        content += chunk
                        self._take(len(chunk))
                    if dropped > DROPPED:
                        break
        except TimeoutError:
            raise RequestError(
                408, wrong(f"the body did not arrive within {BODY_SECONDS:g} s")
            ) from None
        except ClientDisconnect:
            raise RequestError(400, wrong("the body ended early")) from None
        if dropped:
            raise _too_long()
        return self._decoded(bytes(content), headers)

    def _take(self, size: int) -> None:
        self._size += size
        self._room.taken += size
        if self._room.taken > MAX_BODIES:
            raise RequestError(503, wrong("too many requests are waiting: try again"))

    def _decoded(self, content: bytes, headers: Mapping[bytes, bytes]) -> bytes:
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding not in (b"", b"identity"):
            content = _inflated(content, encoding.decode("latin-1"))
            self._take(len(content))
        content = content.removeprefix(codecs.BOM_UTF8)
        sent_as = headers.get(b"content-type", b"")
        return content if sent_as == b"application/json" else _utf8(content, sent_as)


def _too_long() -> RequestError:
    return RequestError(413, wrong(f"the body is longer than {MAX_BODY} bytes"))


def _inflated(content: bytes, encoding: str) -> bytes:
    if encoding not in ("gzip", "x-gzip", "deflate"):
        name = encoding[:NAME]
        raise RequestError(415, wrong(f"Content-Encoding: {name}: send {ENCODINGS} or none"))
    inflated = b""
    try:
        while content:  # gzip may have several members
            part = zlib.decompressobj(GZIP_OR_ZLIB)
            inflated += part.decompress(content, MAX_BODY + 1 - len(inflated))
            if len(inflated) > MAX_BODY:
                raise _too_long()
            if not part.eof:
                raise zlib.error("it ends early")
            content = part.unused_data
    except zlib.error as error:
        raise RequestError(400, wrong(f"the body is not {encoding}: {error}")) from None
    return inflated


def _utf8(content: bytes, sent_as: bytes) -> bytes:
    """Return a body in UTF-8, decoded by the charset of its Content-Type."""
    if (charset := _charset(sent_as)) == "utf-8":
        return content
    try:
        return content.decode(charset).encode()
    except UnicodeError:
        raise RequestError(400, wrong(f"the body is not {charset}")) from None


@lru_cache(maxsize=64)
def _charset(sent_as: bytes) -> str:
    about = Message()
    about["content-type"] = sent_as.decode("latin-1") or "application/json"
    kind, charset = about.get_content_type(), str(about.get_param("charset", "utf-8")).lower()
    if not kind.endswith("json") and kind not in TYPES:
        raise RequestError(415, wrong(f"Content-Type: {kind[:NAME]}: send application/json"))
    if charset not in CHARSETS:
        raise RequestError(415, wrong(f"charset={charset[:NAME]}: send UTF-8"))
    return CHARSETS[charset]


def rows(content: bytes, body: type[BaseModel]) -> list[Row]:
    """Return the validated rows of a body.

    Raises:
        RequestError: the body does not match the request model.
    """
    try:
        request = body.model_validate_json(content)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestError(
            422, *(wrong(each["msg"], each["loc"]) for each in errors[:ERRORS])
        ) from None
    return [row.__dict__ for row in request.rows]  # type: ignore[attr-defined]


def wrong(message: str, where: Sequence[int | str] = ()) -> dict[str, Any]:
    """Return an error: the path to the field, and the message."""
    return {
        "where": [part[:NAME] if isinstance(part, str) else part for part in where],
        "message": message,
    }
