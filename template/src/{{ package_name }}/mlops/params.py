"""params.yaml: one section a module, checked by that module's own pydantic model.

It is read as DVC reads it (YAML 1.2): what a stage computes with is what dvc.lock records. PyYAML
reads YAML 1.1, where `5e-2` is a text, `012` is ten and `on` is true.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from . import files
from .errors import Problem

FILE = Path("params.yaml")
# Sections that shape no model.
AROUND = ("tune", "monitor", "sample")
PROPERTIES = re.compile(r"^([&!]\S*\s+)+")
"""The anchor and the tag before a value."""
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
    """Return all that shaped the model, for its run and its card."""
    return {name: values for name, values in _read().items() if name not in AROUND}


def load(text: str) -> dict[str, Any]:
    """Return the sections of a text of params.yaml.

    Raises:
        Problem: DVC cannot read the text either, or it has no sections.
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
    """Return YAML that YAML 1.1 and 1.2 read alike: an earlier commit may read 1.1."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def write(name: str, values: Mapping[str, Any]) -> None:
    """Give parameters of the section `name` other values; every other byte of the file stays.

    Raises:
        Problem: one has no value of its own there, but an alias, say.
    """
    text = FILE.read_bytes().decode()
    section = dict(_nodes(YAML(typ="safe", pure=True).compose(text)))[name]
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
        start = end - len(PROPERTIES.sub("", text[start:end]))
        after = f"{after[:start]}{scalar(value, style)}{after[end:]}"
    wanted = _read()
    wanted[name] = {**wanted[name], **values}
    try:
        same = repr(load(after)) == repr(wanted)  # a NaN equals no other
    except Problem:
        same = False
    if not same:
        raise Problem(f"{FILE}: {name}: cannot be edited in place; write there: {dict(values)}")
    files.write_text(FILE, after)


def scalar(value: Any, style: str | None = None) -> str:
    """Return a value as YAML, on one line; `style` is the quote to use."""
    dumped = yaml.dump(
        value, Dumper=_Dumper, default_style=style, width=math.inf, allow_unicode=True
    )
    return dumped.removesuffix("...\n").strip()


class _Dumper(yaml.SafeDumper):
    """Quotes a text that either version of YAML would take for something else."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        try:
            plain = YAML(typ="safe").load(text) == text
        except Exception:
            plain = False
        style = self.default_style or (None if plain else '"')
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _nodes(mapping: Any) -> Iterator[tuple[str, Any]]:
    return ((key.value, node) for key, node in mapping.value)


def problem(name: str, error: ValidationError) -> Problem:
    """Give the line that says which values of the section `name` are wrong."""
    return Problem("; ".join(_line(name, each) for each in error.errors()))


def _read() -> dict[str, Any]:
    try:
        return load(FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Problem(f"no {FILE} in {Path.cwd()}: go to the folder of the repo") from None
    except UnicodeDecodeError:
        raise Problem(f"{FILE} is not UTF-8: save it so, as DVC reads it") from None


def _line(name: str, error: Any) -> str:
    parts = (str(each) for each in error["loc"])
    where = ".".join([name, *(each if each.isprintable() else repr(each) for each in parts)])
    given = "" if error["type"] == "missing" else f" (it is {error['input']!r})"
    return f"{FILE}: {where}: {error['msg']}{given}"


def _example(name: str, model: type[BaseModel]) -> str:
    return f"add it with: {', '.join(model.model_fields)}" if model.model_fields else "add it"
