"""The repo's own service without one of its speed devices: `without.py PACKAGE PORT DEVICE`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

DEVICES: dict[str, Callable[[Callable[[str], Any]], None]] = {}
"""Functions that switch off the device of their name; they take an importer of `mlops` modules."""


def device(switch_off: Callable[[Callable[[str], Any]], None]) -> None:
    """Register a device."""
    DEVICES[switch_off.__name__] = switch_off


@device
def nothing(_: Callable[[str], Any]) -> None:
    """Leave the service as it is."""


@device
def single_row(mlops: Callable[[str], Any]) -> None:
    """Predict a single row as a table."""

    def by_table(predictor: Any) -> None:
        predictor._one = None

    _after_init(mlops, by_table)


@device
def alone(mlops: Callable[[str], Any]) -> None:
    """Queue a request also if it is the only one."""
    predictor = mlops("serving.predictor").Predictor
    predict = predictor.predict

    async def queued(self: Any, *args: Any, **_: Any) -> Any:
        return await predict(self, *args, alone=False)

    predictor.predict = queued


@device
def batches(mlops: Callable[[str], Any]) -> None:
    """Predict each waiting request by itself."""

    def of_one(predictor: Any) -> None:
        predictor._soon.most = predictor._later.most = 1

    _after_init(mlops, of_one)


@device
def pace(mlops: Callable[[str], Any]) -> None:
    """Predict in the thread, however short it is expected to be."""
    mlops("serving.predictor").INLINE_SECONDS = 0


@device
def lanes(mlops: Callable[[str], Any]) -> None:
    """Let all requests wait in one queue."""

    def one_lane(predictor: Any) -> None:
        predictor._later = predictor._soon

    _after_init(mlops, one_lane)


@device
def direct_route(mlops: Callable[[str], Any]) -> None:
    """Route through FastAPI."""
    from fastapi.routing import APIRoute

    mlops("serving.openapi").Direct = APIRoute


@device
def gc(mlops: Callable[[str], Any]) -> None:
    """Collect garbage as Python does by default."""
    idle = SimpleNamespace(collect=int, freeze=int, set_threshold=lambda *_: None)
    mlops("serving.server").gc = idle


def _after_init(mlops: Callable[[str], Any], change: Callable[[Any], None]) -> None:
    """Change each predictor after its creation."""
    kind = mlops("serving.predictor").Predictor
    init = kind.__post_init__

    def changed(self: Any) -> None:
        init(self)
        change(self)

    kind.__post_init__ = changed


def main(package: str, port: int, name: str) -> None:
    """Serve the model of the environment's settings without a device."""

    def mlops(module: str) -> Any:
        return importlib.import_module(f"{package}.mlops.{module}")

    DEVICES[name](mlops)
    server = mlops("serving.server")
    server.serve(mlops("serving.app").create(), server.listen("127.0.0.1", port))


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))  # it holds a module `bento`
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
