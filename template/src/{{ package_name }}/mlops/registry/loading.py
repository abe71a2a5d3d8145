"""Load a registered model from its MLflow folder, with the code it was registered with."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import yaml

from .. import files
from ..errors import Problem

CODE = "model.py"
"""The team's prediction code, which `train` copies beside the fitted model."""


def files_of(folder: Path) -> Path:
    """Return what model.save wrote, in a folder that `fetch.fetch` filled."""
    return folder / "model" / str(_flavor(folder)["data"])


def code_of(folder: Path) -> Path:
    """Return the package that the model was registered with, in such a folder."""
    flavor = _flavor(folder)
    package = str(flavor["loader_module"]).partition(".")[0]
    return folder / "model" / str(flavor["code"]) / package


def load(folder: Path, name: str, digest: str = "") -> Any:
    """Load a model with the code that it was registered with, not with this repo's.

    That code is imported as the package `name`, which works because the team's imports are
    relative. Modules loaded under that name before are removed.

    Raises:
        Problem: the files do not have the `digest`, if one is given; or the prediction code is not
            the code that the model was trained with.
    """
    model, code = files_of(folder), code_of(folder)
    if digest and (actual := files.digest(model)) != digest:
        raise Problem(f"{folder} holds the model {actual}, expected {digest}")
    trained, now = model / CODE, code / CODE
    if trained.exists() and trained.read_bytes() != now.read_bytes():
        raise Problem(f"{now} is not the code that the model beside it was trained with")
    spec = importlib.util.spec_from_file_location(
        name, code / "__init__.py", submodule_search_locations=[str(code)]
    )
    assert spec
    assert spec.loader
    for loaded in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        del sys.modules[loaded]
    importlib.invalidate_caches()
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    module = str(_flavor(folder)["loader_module"]).partition(".")[2]
    return importlib.import_module(f"{name}.{module}")._load_pyfunc(model)


def _flavor(folder: Path) -> dict[str, Any]:
    file = folder / "model" / "MLmodel"
    try:
        flavors = yaml.safe_load(file.read_text())["flavors"]
    except FileNotFoundError:
        raise Problem(f"no {file}: {folder} was not written by `mlops production`") from None
    flavor: dict[str, Any] = flavors["python_function"]
    return flavor
