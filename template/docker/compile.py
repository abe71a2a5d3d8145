"""Compile what a group loads at its start: all bytecode would be a fifth of the image.

`python compile.py GROUP`, where pyproject.toml is: imports what the repo names, which compiles it.
"""

import re
import sys
import tomllib
from contextlib import suppress
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

pyproject = tomllib.loads(Path("pyproject.toml").read_text())
lines = [*pyproject["project"]["dependencies"], *pyproject["dependency-groups"][sys.argv[1]]]
named = {re.split(r"[^\w.-]", line)[0].lower() for line in lines if isinstance(line, str)}
for module, owners in packages_distributions().items():
    if named & {owner.lower() for owner in owners}:
        with suppress(ImportError):
            import_module(module)
