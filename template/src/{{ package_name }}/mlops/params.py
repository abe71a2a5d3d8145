"""params.yaml: one section a module, checked by that module's own pydantic model."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from . import files
from .errors import Problem

FILE = Path("params.yaml")
# Sections that shape no model.
AROUND = ("tune", "monitor", "sample")
Section = TypeVar("Section", bound=BaseModel)


def section(name: str, model: type[Section], optional: bool = False) -> Section:
    """Give the section `name` of params.yaml as a `model`; an optional one has defaults.

    Raises:
        Problem: the file or the section is not there, or a value is not what the model takes.
    """
    values = _read().get(name)
    if values is None and optional:
        values = {}
    if not isinstance(values, dict):
        raise Problem(f"{FILE} has no section `{name}:`; {_example(name, model)}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise problem(name, error) from None


def recorded() -> dict[str, Any]:
    """Give all that shaped the model, for its run and its card."""
    return {name: values for name, values in _read().items() if name not in AROUND}


def write(name: str, values: Mapping[str, Any]) -> None:
    """Give parameters of the section `name` other values; every other byte of the file stays.

    Raises:
        Problem: one has no value of its own there, but an alias, say.
    """
    text = FILE.read_bytes().decode()
    section = dict(_nodes(yaml.compose(text)))[name]
    # An alias leads to a node elsewhere, which others share.
    here = range(section.start_mark.index, section.end_mark.index)
    found = [
        (node, values[key])
        for key, node in _nodes(section)
        if key in values and node.start_mark.index in here
    ]
    after = text
    for node, value in sorted(found, key=lambda pair: -pair[0].start_mark.index):
        style = node.style if isinstance(value, str) else None
        start, end = node.start_mark.index, node.end_mark.index
        after = f"{after[:start]}{scalar(value, style)}{after[end:]}"
    wanted = _read()
    wanted[name] = {**wanted[name], **values}
    if yaml.safe_load(after) != wanted:
        raise Problem(f"{FILE}: {name}: cannot be edited in place; write there: {dict(values)}")
    files.write_text(FILE, after)


def scalar(value: Any, style: str | None = None) -> str:
    """Give a value as YAML, on one line; `style` is the quote to use."""
    text = yaml.safe_dump(value, default_style=style, width=math.inf)
    return text.removesuffix("...\n").strip()


def _nodes(mapping: Any) -> Iterator[tuple[str, Any]]:
    return ((key.value, node) for key, node in mapping.value)


def problem(name: str, error: ValidationError) -> Problem:
    """Give the line that says which values of the section `name` are wrong."""
    return Problem("; ".join(_line(name, each) for each in error.errors()))


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
