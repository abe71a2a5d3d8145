"""The HTTP interface: POST /v1/predict, and what a platform asks of a service."""

import json
import logging
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import artifact, contract
from ..errors import Problem
from ..settings import settings
from . import body, metrics, openapi, requests, telemetry
from .body import Refused, wrong
from .log import Log
from .lookups import Lookups
from .online import Online
from .predictor import Overloaded, Predictor

LOGGER = logging.getLogger("mlops.serving")
# No secret, and a tenth of the time that the system's random numbers take. Its own generator, for
# a model that seeds Python's would have each pod give the same ids.
IDS = random.Random()

STOPS = "The service is about to stop."
FAILED = "the service failed; its log says more"
HEADERS = {
    408: {"connection": "close"},
    413: {"connection": "close"},
    415: {"accept-encoding": body.ENCODINGS},
    503: {"retry-after": "1"},
}
"""What a refusal says beside its body."""


def create() -> FastAPI:
    """Make the app of the model in $MLOPS_MODEL, a folder that `mlops production` filled.

    Raises:
        Problem: the folder holds another model than it should, or one that does not answer.
    """
    folder = Path(os.environ["MLOPS_MODEL"])
    try:
        about = json.loads((folder / "about.json").read_text())
    except FileNotFoundError:
        raise Problem(f"no {folder}/about.json: `mlops production` writes it") from None
    identity = {
        "name": about["name"],
        "version": str(about["version"]),
        "digest": os.environ.get("MLOPS_MODEL_DIGEST") or about["model_digest"],
    }
    model = artifact.load(folder, "mlops_champion", identity["digest"])
    place, other = os.environ.get("MLOPS_PREDICTION_LOG"), os.environ.get("MLOPS_SHADOW_MODEL")
    if other and not place:
        raise Problem("MLOPS_SHADOW_MODEL: a challenger is only logged: set MLOPS_PREDICTION_LOG")
    shadow = artifact.load(Path(other), "mlops_challenger") if other else None
    online, log = Online(), Log(place, identity["version"], shadow)
    lookups = Lookups(online, float(os.environ.get("MLOPS_ONLINE_TIMEOUT", "0.1")))
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
    except requests.Lacking:
        return
    except Problem:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise Problem(f"the model cannot predict schema.EXAMPLE: {reason}") from error


def routes(predictor: Predictor, identity: dict[str, str]) -> FastAPI:
    """Make the app of a predictor.

    `app.state.ready` says whether it takes requests; in `app.state.requests` the server holds those
    that it has begun.
    """
    online = predictor.lookups.online
    model = requests.body(online.ttl, online.keys, predictor.derivation)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.ready = True
        yield
        predictor.log.close()

    app = FastAPIOffline(  # a cluster may have no way to a CDN
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
    room = body.Room()

    direct = APIRouter(route_class=openapi.Direct)

    @direct.post("/v1/predict/", include_in_schema=False)
    @direct.post("/v1/predict", **openapi.operation(model))
    async def predict(request: Request) -> Response:
        start, name = time.perf_counter(), _name(request)
        with metrics.IN_FLIGHT.track_inprogress(), body.Body(room) as sent:
            try:
                content = await sent.read(request)
                rows = body.rows(content, model)
                alone = len(app.state.requests) == 1
                answer = await predictor.predict(rows, len(content), name, alone=alone)
                status, said = 200, {"model": identity, "predictions": answer}
            except Exception as error:
                refused = _refused(error)
                status, said = refused.status, {"errors": refused.errors}
        headers = {"x-request-id": name, **HEADERS.get(status, {})}
        if not app.state.ready:
            headers["connection"] = "close"
        metrics.answered(status, taken := time.perf_counter() - start)
        fields = {"request": name, "status": status, "ms": round(taken * 1e3, 2)}
        LOGGER.info("predicted", extra={telemetry.FIELDS: fields})
        return Response(orjson.dumps(said), status, headers, media_type="application/json")

    app.include_router(direct)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers at all."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"model": openapi.Errors, "description": STOPS}})
    async def readyz() -> Response:
        """Whether requests may be sent here."""
        if app.state.ready:
            return JSONResponse({"model": identity})
        return JSONResponse({"errors": [wrong(STOPS)]}, 503)

    @app.get("/metrics", include_in_schema=False)
    async def exported() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    # Addresses that are relative hold behind any prefix that a gateway takes away, and any scheme.
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
    """Answers HEAD as GET; the server sends no body then."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


async def _as_errors(_: Request, error: Exception) -> Response:
    """Refuse what no route takes in the form of all errors."""
    if not isinstance(error, HTTPException):
        return JSONResponse({"errors": [wrong(FAILED)]}, 500)
    return JSONResponse({"errors": [wrong(error.detail)]}, error.status_code, error.headers)


def _name(request: Request) -> str:
    given = request.headers.get("x-request-id", "")[:128]
    if given and given.isascii() and given.isprintable():
        return given
    return f"{IDS.getrandbits(128):032x}"


def _refused(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case Overloaded():
            return Refused(503, wrong("too many requests wait: try again"))
        case requests.Lacking():
            return Refused(503, wrong("not known now, and it has no default", ["rows", str(error)]))
    LOGGER.error("the model fails", exc_info=error)
    return Refused(500, wrong(f"{FAILED} under the request's id"))
