"""Compile only what a group's packages import: all bytecode would be a fifth of the image.

Run `python compile.py GROUP` beside pyproject.toml: it imports the packages that the group lists,
or those of the project itself, which compiles them.
"""

import re
import sys
import tomllib
from contextlib import suppress
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

pyproject = tomllib.loads(Path("pyproject.toml").read_text())
groups = {"project": pyproject["project"]["dependencies"], **pyproject["dependency-groups"]}
lines = groups[sys.argv[1]]
packages = {re.split(r"[^\w.-]", line)[0].lower() for line in lines if isinstance(line, str)}
for module, owners in packages_distributions().items():
    if packages & {owner.lower() for owner in owners}:
        with suppress(ImportError):
            import_module(module)
