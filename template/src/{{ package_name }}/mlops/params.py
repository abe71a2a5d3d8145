"""params.yaml: one section a module, checked by that module's own pydantic model."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from .errors import Problem

FILE = Path("params.yaml")
Section = TypeVar("Section", bound=BaseModel)


def section(name: str, model: type[Section]) -> Section:
    """Give the section `name` of params.yaml as a `model`.

    Raises:
        Problem: the file or the section is not there, or a value is not what the model takes.
    """
    values = _read().get(name)
    if not isinstance(values, dict):
        raise Problem(f"{FILE} has no section `{name}:`; {_example(name, model)}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Problem("; ".join(_line(name, e) for e in error.errors())) from None


def _read() -> dict[str, Any]:
    try:
        values = yaml.safe_load(FILE.read_text())
    except FileNotFoundError:
        raise Problem(f"no {FILE} in {Path.cwd()}: go to the folder of the repo") from None
    except yaml.YAMLError as error:
        raise Problem(f"{FILE} is not YAML: {' '.join(str(error).split())}") from None
    return values if isinstance(values, dict) else {}


def _line(name: str, error: Any) -> str:
    where = ".".join([name, *map(str, error["loc"])])
    given = "" if error["type"] == "missing" else f" (it is {error['input']!r})"
    return f"{FILE}: {where}: {error['msg']}{given}"


def _example(name: str, model: type[BaseModel]) -> str:
    return f"add it with: {', '.join(model.model_fields)}" if model.model_fields else "add it"
