"""Schemas of the case."""

from typing import Any

from . import case


def __getattr__(name: str) -> Any:
    if name in ("RAW", "Features", "Examples", "Predictions", "EXAMPLE"):
        return case.current().schemas[name]
    raise AttributeError(name)
