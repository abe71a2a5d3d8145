"""The repo's own service, with a model that needs no time: what HTTP and validation cost.

Request ids, the log's lines and the requests' metrics are the server's, and cost here too. What
belongs to a prediction does not: features and defaults, the model, its metrics, the prediction log.
"""

import importlib
import sys
from types import SimpleNamespace
from typing import Any


def main(package: str, port: int) -> None:
    """Serve a constant behind the same validation, by the same server."""
    serving = f"{package}.mlops.serving"
    app = importlib.import_module(f"{serving}.app")
    server = importlib.import_module(f"{serving}.server")

    async def predict(
        rows: list[Any], size: int, request: str, *, alone: bool
    ) -> list[dict[str, float]]:
        return [{"probability": 0.25} for _ in rows]

    constant = SimpleNamespace(
        predict=predict,
        lookups=SimpleNamespace(online=importlib.import_module(f"{serving}.online").Online()),
        log=importlib.import_module(f"{serving}.log").Log(None, "0"),
        derivation=None,
    )
    made = app.routes(constant, {"name": "constant", "version": "0", "digest": ""})
    server.serve(made, server.listen("127.0.0.1", port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
