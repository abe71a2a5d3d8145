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
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

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
        redoc_url=None,
        title=settings().model_name,
        description=settings().description,
        version=identity["version"],
        lifespan=lifespan,
    )
    telemetry.trace(app)
    app.state.requests = ()

    direct = APIRouter(route_class=openapi.Direct)

    @direct.post("/v1/predict", **openapi.operation(model))
    async def predict(request: Request) -> Response:
        start, name = time.perf_counter(), _name(request)
        headers = {"x-request-id": name}
        with metrics.IN_FLIGHT.track_inprogress():
            try:
                content = await body.read(request)
                rows = body.rows(content, model)
                alone = len(app.state.requests) == 1
                answer = await predictor.predict(rows, len(content), name, alone=alone)
                status, said = 200, {"model": identity, "predictions": answer}
            except Exception as error:
                refused = _refused(error)
                status, said = refused.status, {"errors": refused.errors}
        if status in (408, 413) or not app.state.ready:
            headers["connection"] = "close"
        if status == 503:
            headers["retry-after"] = "1"
        metrics.answered(status, taken := time.perf_counter() - start)
        fields = {"request": name, "status": status, "ms": round(taken * 1e3, 2)}
        LOGGER.info("predicted", extra={telemetry.FIELDS: fields})
        return Response(orjson.dumps(said), status, headers, media_type="application/json")

    app.include_router(direct)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers at all."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"description": "It is about to stop."}})
    async def readyz() -> Response:
        """Whether requests may be sent here."""
        return JSONResponse({"model": identity}, 200 if app.state.ready else 503)

    @app.get("/metrics", include_in_schema=False)
    async def exported() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        return RedirectResponse("/docs")

    return app


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
    return Refused(500, wrong("the service failed; its log says more under the request's id"))
