"""The OpenAPI description: models of requests, responses and errors."""

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, create_model
from starlette.types import Receive, Scope, Send

from .. import contract
from . import schema

REFUSALS = {
    400: "The body ended early, or is not encoded as its headers state.",
    408: "The body did not arrive in time.",
    413: "The body is too long.",
    415: "The encoding or the content type of the body is not supported.",
    422: "The body is invalid; the errors name the fields.",
    500: "The service failed; see its log.",
    503: "Too many requests are waiting, or a feature without a default is missing.",
}


class Direct(APIRoute):
    """A route whose function maps the request to the response; FastAPI only documents it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **kwargs: Any) -> None:
        """Call the function directly, without FastAPI's parsing of its arguments."""
        super().__init__(path, endpoint, **kwargs)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            response: Response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = answer


class Identity(BaseModel):
    """The registered model version that answers."""

    name: str
    version: str
    digest: str


class Error(BaseModel):
    """An error message, and the path to the field in the body."""

    where: list[str | int]
    message: str


class Errors(BaseModel):
    """All errors, or the first of them."""

    errors: list[Error]


def operation(body: type[BaseModel]) -> dict[str, Any]:
    """Return FastAPI's arguments for the prediction route, which reads the body itself."""
    schema = body.model_json_schema()
    schema["properties"]["rows"]["items"] = schema.pop("$defs")["Row"]
    refusals = {status: {"model": Errors, "description": why} for status, why in REFUSALS.items()}
    return {
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
        },
        "responses": {
            200: {"model": _answer(), "description": "One prediction per row, in order."},
            **refusals,
        },
    }


def _answer() -> type[BaseModel]:
    columns = contract.schema().Predictions.to_schema().columns
    # A number that JSON cannot express is null.
    fields: dict[str, Any] = {
        name: (schema.kind(column) | None, ...) for name, column in columns.items()
    }
    prediction = create_model("Prediction", **fields)
    return create_model("Answer", model=(Identity, ...), predictions=(list[prediction], ...))  # type: ignore[valid-type]
