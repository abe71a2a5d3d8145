"""What the API's page says: the models of requests, answers and errors."""

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, create_model
from starlette.types import Receive, Scope, Send

from .. import contract
from . import requests

REFUSALS = {
    400: "The body ended early, or is not encoded as its headers say.",
    408: "The body did not come in time.",
    413: "The body is too long.",
    415: "The body has an encoding or a type that is not known here.",
    422: "The body breaks a rule; the errors name the fields.",
    500: "The service failed; its log says more.",
    503: "Too many requests wait, or a feature that has no default is not known.",
}


class Direct(APIRoute):
    """A route whose function takes the request and gives the response; FastAPI documents it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **named: Any) -> None:
        """Answer by the function alone, without what looks for its arguments."""
        super().__init__(path, endpoint, **named)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            response: Response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = answer


class Identity(BaseModel):
    """The registered version that answers."""

    name: str
    version: str
    digest: str


class Error(BaseModel):
    """What is wrong, and the path to it in the body."""

    where: list[str | int]
    message: str


class Errors(BaseModel):
    """All that is wrong, or the first of it."""

    errors: list[Error]


def operation(body: type[BaseModel]) -> dict[str, Any]:
    """Give what FastAPI has to be told of the route, which reads the body by itself."""
    schema = body.model_json_schema()
    schema["properties"]["rows"]["items"] = schema.pop("$defs")["Row"]
    refusals = {status: {"model": Errors, "description": why} for status, why in REFUSALS.items()}
    return {
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
        },
        "responses": {
            200: {"model": _answer(), "description": "A prediction a row, in order."},
            **refusals,
        },
    }


def _answer() -> type[BaseModel]:
    columns = contract.schema().Predictions.to_schema().columns
    # A number that JSON does not have is null.
    fields: dict[str, Any] = {
        name: (requests.kind(column) | None, ...) for name, column in columns.items()
    }
    prediction = create_model("Prediction", **fields)
    return create_model("Answer", model=(Identity, ...), predictions=(list[prediction], ...))  # type: ignore[valid-type]
