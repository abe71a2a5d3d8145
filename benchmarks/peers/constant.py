"""The repo's own service with a constant model, to measure the cost of HTTP and validation.

The cost includes request ids, log lines and request metrics, but no part of a prediction: features
and defaults, the model, its metrics and the prediction log.
"""

import importlib
import sys
from types import SimpleNamespace
from typing import Any


def main(package: str, port: int) -> None:
    """Serve a constant with the same validation and the same server."""
    serving = f"{package}.mlops.serving"
    app = importlib.import_module(f"{serving}.app")
    server = importlib.import_module(f"{serving}.server")

    async def predict(
        rows: list[Any], size: int, request: str, *, alone: bool
    ) -> list[dict[str, float]]:
        return [{"probability": 0.25} for _ in rows]

    constant = SimpleNamespace(
        predict=predict,
        lookups=SimpleNamespace(
            online=importlib.import_module(f"{serving}.online_features").Online()
        ),
        log=importlib.import_module(f"{serving}.prediction_log").Log(None, "0"),
        derivation=None,
    )
    service = app.routes(constant, {"name": "constant", "version": "0", "digest": ""})
    server.serve(service, server.listen("127.0.0.1", port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
