"""params.yaml: one section per module, validated by that module's pydantic model.

The file is read as DVC reads it (YAML 1.2), so that a stage computes with the values that dvc.lock
records. PyYAML reads YAML 1.1, where `5e-2` is a string, `012` is ten and `on` is true.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from . import files
from .errors import Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from ruamel.yaml.nodes import MappingNode

FILE = Path("params.yaml")
# Sections that do not affect the model.
AROUND = ("tune", "monitor", "sample")
PROPERTIES = re.compile(r"^([&!]\S*\s+)+")
"""Anchors and tags before a value."""
Section = TypeVar("Section", bound=BaseModel)


def section(name: str, model: type[Section], optional: bool = False) -> Section:
    """Return the section `name` of params.yaml as a `model`; an optional section has defaults.

    Raises:
        Problem: the file or the section is missing, or the model rejects a value.
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
    """Return all sections that affect the model, for its run and its card."""
    return {name: values for name, values in _read().items() if name not in AROUND}


def load(text: str) -> dict[str, Any]:
    """Return the sections of params.yaml, given as text.

    Raises:
        Problem: the text is not valid YAML, which DVC cannot read either, or it has no sections.
    """
    try:
        values = YAML(typ="safe").load(text) or {}
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Problem(f"{FILE} is not YAML: {line}{' '.join(str(error.problem).split())}") from None
    except Exception as error:  # such as a ValueError for the month 13
        raise Problem(f"{FILE} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise Problem(
            f"{FILE} must have sections, such as `model:`; it is a {type(values).__name__}"
        )
    return values


def dump(values: Mapping[str, Any]) -> str:
    """Return YAML that means the same in versions 1.1 and 1.2: an older commit may read 1.1."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def write(name: str, values: Mapping[str, Any]) -> None:
    """Set parameters of the section `name`; every other byte of the file stays.

    Raises:
        Problem: a parameter has no value of its own there, but an alias, for example.
    """
    text = FILE.read_bytes().decode()
    section = dict(_nodes(YAML(typ="safe", pure=True).compose(text)))[name]
    # An alias points to a node outside this section, which other keys share.
    extent = range(section.start_mark.index, section.end_mark.index)
    edits = [
        (node, values[key])
        for key, node in _nodes(section)
        if key in values and node.start_mark.index in extent
    ]
    after = text
    for node, value in sorted(edits, key=lambda pair: -pair[0].start_mark.index):
        style = node.style if isinstance(value, str) else None
        start, end = node.start_mark.index, node.end_mark.index
        start = end - len(PROPERTIES.sub("", text[start:end]))
        after = f"{after[:start]}{scalar(value, style)}{after[end:]}"
    expected = _read()
    expected[name] = {**expected[name], **values}
    try:
        same = repr(load(after)) == repr(expected)  # by repr, because NaN is not equal to itself
    except Problem:
        same = False
    if not same:
        raise Problem(
            f"{FILE}: {name}: cannot be edited in place; set these values yourself: {dict(values)}"
        )
    files.write_text(FILE, after)


def scalar(value: object, style: str | None = None) -> str:
    """Return a value as YAML, on one line; `style` is the quote to use."""
    dumped = yaml.dump(
        value, Dumper=_Dumper, default_style=style, width=math.inf, allow_unicode=True
    )
    return dumped.removesuffix("...\n").strip()


class _Dumper(yaml.SafeDumper):
    """Quotes a string that either version of YAML would read as another type."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        try:
            plain = YAML(typ="safe").load(text) == text
        except Exception:
            plain = False
        style = self.default_style or (None if plain else '"')
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _nodes(mapping: "MappingNode") -> Iterator[tuple[str, Any]]:
    return ((key.value, node) for key, node in mapping.value)


def problem(name: str, error: ValidationError) -> Problem:
    """Return a Problem that names the invalid values of the section `name`."""
    return Problem("; ".join(_line(name, each) for each in error.errors()))


def _read() -> dict[str, Any]:
    try:
        return load(FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"no {FILE} in {Path.cwd()}: go to the folder of the repo") from None
    except UnicodeDecodeError:
        raise Problem(f"{FILE} is not UTF-8, as DVC requires: save it as UTF-8") from None


def _line(name: str, error: "ErrorDetails") -> str:
    parts = (str(each) for each in error["loc"])
    where = ".".join([name, *(each if each.isprintable() else repr(each) for each in parts)])
    value = "" if error["type"] == "missing" else f" (it is {error['input']!r})"
    return f"{FILE}: {where}: {error['msg']}{value}"


def _example(name: str, model: type[BaseModel]) -> str:
    return f"add it with: {', '.join(model.model_fields)}" if model.model_fields else "add it"
