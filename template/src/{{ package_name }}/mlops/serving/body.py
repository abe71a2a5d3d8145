"""Read and check what a client sends, whatever it is, in bounded memory and time."""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from .requests import Row

MAX_BODY = 1024 * 1024
BODY_SECONDS = 10.0
ERRORS = 20
"""Of a bad body no more errors than these are told."""
NAME = 100
"""Letters of a field's name that are told back."""


class Refused(Exception):
    """A request that gets an answer other than 200."""

    def __init__(self, status: int, *errors: dict[str, Any]) -> None:
        """Make it of errors: where, and what is wrong there."""
        self.status, self.errors = status, errors


async def read(request: Request) -> bytes:
    """Give the whole body.

    Raises:
        Refused: it is too long, comes too slowly, or ends early.
    """
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > MAX_BODY:
                    raise Refused(413, wrong(f"the body has over {MAX_BODY} bytes"))
    except TimeoutError:
        raise Refused(408, wrong(f"no whole body within {BODY_SECONDS:g} s")) from None
    except ClientDisconnect:
        raise Refused(400, wrong("the body ended early")) from None
    return bytes(content)


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
