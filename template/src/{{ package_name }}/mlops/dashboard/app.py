"""What Streamlit runs, by its path: so it has to find the package that it lies in."""

from importlib import import_module
from pathlib import Path

PACKAGE = ".".join(Path(__file__).resolve().parts[-4:-1])

import_module(f"{PACKAGE}.navigation").show()
