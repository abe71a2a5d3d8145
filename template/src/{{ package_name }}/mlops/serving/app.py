"""The HTTP interface: POST /v1/predict, health checks, metrics and API documentation."""

import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import contract
from ..errors import Problem
from ..registry import loading
from ..settings import settings
from . import metrics, openapi, parsing, schema, telemetry
from .batching import Overloaded
from .lookups import Lookups
from .online_features import Online
from .parsing import RequestError, wrong
from .prediction_log import Log
from .predictor import Predictor
from .settings import Settings, read

LOGGER = logging.getLogger("mlops.serving")

STOPS = "The service is shutting down."
FAILED = "the service failed; see its log"
HEADERS = {
    408: {"connection": "close"},
    413: {"connection": "close"},
    415: {"accept-encoding": parsing.ENCODINGS},
    503: {"retry-after": "1"},
}
"""Headers of a refusal, by its status."""


def create(options: Settings | None = None) -> FastAPI:
    """Create the app for the model that the settings name, by default those of the environment.

    Raises:
        Problem: no folder is named, it does not hold the expected model, or the model fails.
    """
    options = options or read()
    if not (folder := options.model):
        raise Problem("MLOPS_MODEL is not set: set it to a folder written by `mlops production`")
    try:
        about = json.loads((folder / "about.json").read_text())
    except FileNotFoundError:
        raise Problem(f"no {folder}/about.json: `mlops production` writes it") from None
    identity = {
        "name": about["name"],
        "version": str(about["version"]),
        "digest": options.model_digest or about["model_digest"],
    }
    model = loading.load(folder, "mlops_champion", identity["digest"])
    challenger = options.challenger
    if challenger and not options.prediction_log:
        raise Problem(
            f"{challenger}: a challenger's predictions are only logged: set MLOPS_PREDICTION_LOG"
        )
    shadow = loading.load(challenger, "mlops_challenger") if challenger else None
    online, log = Online(), Log(options.prediction_log or None, identity["version"], shadow)
    lookups = Lookups(online, options.online_timeout)
    lookups.warm(contract.example())
    predictor = Predictor(model, lookups, log)
    _try_out(predictor)
    metrics.MODEL.labels(*identity.values()).set(1)
    return routes(predictor, identity)


def _try_out(predictor: Predictor) -> None:
    if not (example := contract.example()):
        return
    try:
        predictor.try_out(example)
    except schema.Lacking:
        return
    except Problem:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise Problem(f"the model cannot predict schema.EXAMPLE: {reason}") from error


def routes(predictor: Predictor, identity: dict[str, str]) -> FastAPI:
    """Create the app for a predictor.

    `app.state.ready` is true while it accepts requests; in `app.state.requests` the server keeps
    the requests in progress.
    """
    online = predictor.lookups.online
    model = schema.body(online.ttl, online.keys, predictor.derivation)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.ready = True
        yield
        predictor.log.close()

    app = FastAPIOffline(  # a cluster may have no access to a CDN
        docs_url=None,
        redoc_url=None,
        static_url="/docs/assets",
        redirect_slashes=False,
        servers=[{"url": "."}],
        title=settings().model_name,
        description=settings().description,
        version=identity["version"],
        lifespan=lifespan,
    )
    telemetry.trace(app)
    app.add_middleware(Heads)
    app.add_exception_handler(HTTPException, _as_errors)
    app.add_exception_handler(Exception, _as_errors)
    app.state.requests = ()
    room = parsing.Room()

    direct = APIRouter(route_class=openapi.Direct)

    @direct.post("/v1/predict/", include_in_schema=False)
    @direct.post("/v1/predict", **openapi.operation(model))
    async def predict(request: Request) -> Response:
        start, name = time.perf_counter(), _name(request)
        with metrics.IN_FLIGHT.track_inprogress(), parsing.Body(room) as body:
            try:
                received = await body.read(request)
                rows = parsing.rows(received, model)
                alone = len(app.state.requests) == 1
                answer = await predictor.predict(rows, len(received), name, alone=alone)
                status, content = 200, {"model": identity, "predictions": answer}
            except Exception as error:
                request_error = _as_request_error(error)
                status, content = request_error.status, {"errors": request_error.errors}
        headers = {"x-request-id": name, **HEADERS.get(status, {})}
        if not app.state.ready:
            headers["connection"] = "close"
        metrics.answered(status, seconds := time.perf_counter() - start)
        fields = {"request": name, "status": status, "ms": round(seconds * 1e3, 2)}
        LOGGER.info("predicted", extra={telemetry.FIELDS: fields})
        return Response(orjson.dumps(content), status, headers, media_type="application/json")

    app.include_router(direct)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Report that the process is running."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"model": openapi.Errors, "description": STOPS}})
    async def readyz() -> Response:
        """Report whether the service accepts requests."""
        if app.state.ready:
            return JSONResponse({"model": identity})
        return JSONResponse({"errors": [wrong(STOPS)]}, 503)

    @app.get("/metrics", include_in_schema=False)
    async def exported() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    # Relative addresses work with any scheme, and behind any prefix that a gateway strips.
    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        return RedirectResponse("docs")

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css",
            swagger_favicon_url="docs/assets/favicon.png",
        )

    return app


class Heads:
    """Middleware that answers HEAD as GET; the server leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


async def _as_errors(_: Request, error: Exception) -> Response:
    """Answer errors outside of the prediction route in the format of all errors."""
    if not isinstance(error, HTTPException):
        return JSONResponse({"errors": [wrong(FAILED)]}, 500)
    return JSONResponse({"errors": [wrong(error.detail)]}, error.status_code, error.headers)


def _name(request: Request) -> str:
    name = request.headers.get("x-request-id", "")[:128]
    if name and name.isascii() and name.isprintable():
        return name
    return uuid.uuid4().hex


def _as_request_error(error: Exception) -> RequestError:
    match error:
        case RequestError():
            return error
        case Overloaded():
            return RequestError(503, wrong("too many requests are waiting: try again"))
        case schema.Lacking():
            return RequestError(
                503, wrong("no value is available now, and it has no default", ["rows", str(error)])
            )
    LOGGER.error("the model failed", exc_info=error)
    return RequestError(500, wrong(f"{FAILED} for the request's id"))
