"""Read and check what a client sends, whatever it is, in bounded memory and time."""

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

from .requests import Row

MAX_BODY = 1024 * 1024
MAX_BODIES = 64 * 1024 * 1024
"""Bytes of all bodies that are read, or wait for their answer."""
DROPPED = 8 * MAX_BODY
"""Of a body that is too long so much is read: a client that still sends may miss the answer."""
BODY_SECONDS = 10.0
ERRORS = 20
"""Of a bad body no more errors than these are told."""
NAME = 100
"""Letters of a field's name that are told back."""

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
"""What clients call JSON that they were not told the type of, as curl does."""


class Refused(Exception):
    """A request that gets an answer other than 200."""

    def __init__(self, status: int, *errors: dict[str, Any]) -> None:
        """Make it of errors: where, and what is wrong there."""
        self.status, self.errors = status, errors


@dataclass
class Room:
    """The bytes of all bodies in memory."""

    taken: int = 0


class Body:
    """The body of a request; it counts among all until the block ends."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room) -> None:
        """Take no room yet."""
        self._room, self._size = room, 0

    def __enter__(self) -> "Body":
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give its room back."""
        self._room.taken -= self._size

    async def read(self, request: Request) -> bytes:
        """Return the whole body, decoded: JSON in UTF-8, if it is JSON at all.

        Raises:
            Refused: it is too long, comes too slowly, ends early, or is encoded in another way.
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
            raise Refused(408, wrong(f"no whole body within {BODY_SECONDS:g} s")) from None
        except ClientDisconnect:
            raise Refused(400, wrong("the body ended early")) from None
        if dropped:
            raise _too_long()
        return self._decoded(bytes(content), headers)

    def _take(self, size: int) -> None:
        self._size += size
        self._room.taken += size
        if self._room.taken > MAX_BODIES:
            raise Refused(503, wrong("too many requests wait: try again"))

    def _decoded(self, content: bytes, headers: Mapping[bytes, bytes]) -> bytes:
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding not in (b"", b"identity"):
            content = _inflated(content, encoding.decode("latin-1"))
            self._take(len(content))
        content = content.removeprefix(codecs.BOM_UTF8)
        sent_as = headers.get(b"content-type", b"")
        return content if sent_as == b"application/json" else _utf8(content, sent_as)


def _too_long() -> Refused:
    return Refused(413, wrong(f"the body has over {MAX_BODY} bytes"))


def _inflated(content: bytes, encoding: str) -> bytes:
    if encoding not in ("gzip", "x-gzip", "deflate"):
        name = encoding[:NAME]
        raise Refused(415, wrong(f"Content-Encoding: {name}: send {ENCODINGS} or none"))
    found = b""
    try:
        while content:  # gzip may be of several parts
            part = zlib.decompressobj(GZIP_OR_ZLIB)
            found += part.decompress(content, MAX_BODY + 1 - len(found))
            if len(found) > MAX_BODY:
                raise _too_long()
            if not part.eof:
                raise zlib.error("it ends early")
            content = part.unused_data
    except zlib.error as error:
        raise Refused(400, wrong(f"the body is not {encoding}: {error}")) from None
    return found


def _utf8(content: bytes, sent_as: bytes) -> bytes:
    """Return a body of some Content-Type in UTF-8."""
    if (charset := _charset(sent_as)) == "utf-8":
        return content
    try:
        return content.decode(charset).encode()
    except UnicodeError:
        raise Refused(400, wrong(f"the body is not {charset}")) from None


@lru_cache(maxsize=64)
def _charset(sent_as: bytes) -> str:
    about = Message()
    about["content-type"] = sent_as.decode("latin-1") or "application/json"
    kind, charset = about.get_content_type(), str(about.get_param("charset", "utf-8")).lower()
    if not kind.endswith("json") and kind not in TYPES:
        raise Refused(415, wrong(f"Content-Type: {kind[:NAME]}: send application/json"))
    if charset not in CHARSETS:
        raise Refused(415, wrong(f"charset={charset[:NAME]}: send UTF-8"))
    return CHARSETS[charset]


def rows(content: bytes, body: type[BaseModel]) -> list[Row]:
    """Give the rows of a body.

    Raises:
        Refused: it breaks the model of requests.
    """
    try:
        found = body.model_validate_json(content)
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False, include_input=False)
        raise Refused(422, *(wrong(one["msg"], one["loc"]) for one in told[:ERRORS])) from None
    return [row.__dict__ for row in found.rows]  # type: ignore[attr-defined]


def wrong(message: str, where: Sequence[int | str] = ()) -> dict[str, Any]:
    """One error: the path to the field, and what is wrong there."""
    return {
        "where": [part[:NAME] if isinstance(part, str) else part for part in where],
        "message": message,
    }
