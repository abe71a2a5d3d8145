"""A registered model as MLflow lays it down: its files, and the code it was registered with."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import yaml

from . import files
from .errors import Problem


def files_of(folder: Path) -> Path:
    """What model.save wrote, in a folder that `production` filled."""
    return folder / "model" / str(_flavor(folder)["data"])


def load(folder: Path, name: str, digest: str = "") -> Any:
    """Load a model by the code that it was registered with, whatever this repo's is now.

    That code becomes the package `name`, beside this one: the team's imports are relative.

    Raises:
        Problem: the files are not those of `digest`, where one is given.
    """
    flavor = _flavor(folder)
    if digest and (found := files.digest(files_of(folder))) != digest:
        raise Problem(f"{folder} holds the model {found}, and {digest} is wanted")
    package, _, module = str(flavor["loader_module"]).partition(".")
    code = folder / "model" / str(flavor["code"]) / package
    spec = importlib.util.spec_from_file_location(
        name, code / "__init__.py", submodule_search_locations=[str(code)]
    )
    assert spec
    assert spec.loader
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return importlib.import_module(f"{name}.{module}")._load_pyfunc(files_of(folder))


def _flavor(folder: Path) -> dict[str, Any]:
    file = folder / "model" / "MLmodel"
    try:
        flavors = yaml.safe_load(file.read_text())["flavors"]
    except FileNotFoundError:
        raise Problem(f"no {file}: {folder} is not what `mlops production` wrote") from None
    flavor: dict[str, Any] = flavors["python_function"]
    return flavor
