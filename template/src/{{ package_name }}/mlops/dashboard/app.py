"""Entry point for Streamlit, which runs it by path, so it has to find its own package."""

from importlib import import_module
from pathlib import Path

PACKAGE = ".".join(Path(__file__).resolve().parts[-4:-1])

import_module(f"{PACKAGE}.navigation").show()
