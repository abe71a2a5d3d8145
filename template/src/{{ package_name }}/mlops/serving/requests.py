"""What a request may say: the team's schema as a model of pydantic's, with its rules and example.

Which inputs a client has to send follows from Feast: those that the feature service gives are
optional, and the entities by which they are found are not.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal

import pandas as pd
from pandera.api.pandas.components import Column
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic_core import SchemaError

from .. import contract
from ..contract import kind as kind
from ..derive import Derivation, array, dtype

Row = Mapping[str, Any]

MAX_ROWS = 1_000
MAX_TEXT = 65_536

INT64 = {"ge": -(2**63), "le": 2**63 - 1}
"""What fits into a column of whole numbers."""

RULES = {
    "greater_than": {"gt": "min_value"},
    "greater_than_or_equal_to": {"ge": "min_value"},
    "less_than": {"lt": "max_value"},
    "less_than_or_equal_to": {"le": "max_value"},
    "in_range": {"ge": "min_value", "le": "max_value"},
    "str_length": {"min_length": "min_value", "max_length": "max_value"},
}
"""Pandera's checks that pydantic has too, by the names of their arguments there."""


class Lacking(Exception):
    """An input that the model needs is known neither by the client nor by Feast."""


columns = cache(contract.inputs)
"""The model's inputs."""


def body(
    served: Iterable[str], keys: Mapping[str, type], derivation: Derivation | None = None
) -> type[BaseModel]:
    """Return the model of a request's body.

    `served` are Feast's features, `keys` what they are found by; what is derived nobody sends.
    """
    given = set(served)
    fields: dict[str, Any] = {
        name: _field(column, optional=name in given) for name, column in columns().items()
    }
    fields |= {name: (bounded(key, {}), ...) for name, key in keys.items() if name not in fields}
    if derivation and derivation.derive:
        known = contract.request_columns()
        fields |= {
            name: _field(known[name], optional=False)
            if name in known
            else (bounded(type(value), {}), ...)
            for name, value in derivation.example.items()
            if name not in fields
        }
        fields = {name: rule for name, rule in fields.items() if name not in derivation.columns}
    try:
        row = _row(fields, "rust-regex")  # takes time linear in the text, whatever the pattern
    except SchemaError:  # the pattern looks around, or back
        row = _row(fields, "python-re")
    many: Any = Annotated[list[row], Field(min_length=1, max_length=MAX_ROWS)]  # type: ignore[valid-type]
    return create_model("Request", __config__=ConfigDict(extra="forbid"), rows=(many, ...))


def _row(fields: dict[str, Any], engine: Literal["rust-regex", "python-re"]) -> type[BaseModel]:
    example = contract.example()
    config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        regex_engine=engine,
        json_schema_extra={"examples": [example]} if example else None,
    )
    return create_model("Row", __config__=config, **fields)


def _field(column: Column, *, optional: bool) -> tuple[Any, Any]:
    rules: dict[str, Any] = {}
    wanted: Any = None
    for check in column.checks:
        given = check.statistics or {}
        for rule, argument in RULES.get(str(check.name), {}).items():
            if given.get(argument) is not None:
                rules[rule] = given[argument]
        if check.name == "str_matches":  # from the start, as pandera does
            rules["pattern"] = f"^(?:{given['pattern']})"
        if check.name == "isin" and kind(column) in (str, int):
            wanted = _number(kind(column), Literal[*given["allowed_values"]])
    wanted = wanted or bounded(kind(column), rules)
    empty = optional or column.nullable
    about = Field(default=None if empty else ..., description=column.description)
    return (wanted | None if empty else wanted), about


def bounded(found: type, rules: Mapping[str, Any]) -> Any:
    """Give the type with its rules, and with the bounds of what a table can hold."""
    bounds: dict[type, dict[str, Any]] = {int: INT64, str: {"max_length": MAX_TEXT}}
    return _number(found, Annotated[found, Field(**{**bounds.get(found, {}), **rules})])


def _number(found: type, wanted: Any) -> Any:
    """JSON has one kind of number: where a whole one is wanted, what pandas sends as 12.0 is 12."""
    return Annotated[wanted, BeforeValidator(_whole)] if found is int else wanted


def _whole(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


def complete(row: Row, served: Row) -> dict[str, Any]:
    """Give the model's inputs of a row; what a client left out comes from `served`.

    What is not known there either is the schema's default, and None where the schema allows it.

    Raises:
        Lacking: it has no default, and must not be null.
    """
    inputs = {}
    for name, column in columns().items():
        value = row.get(name)
        if value is None and (value := served.get(name)) is None:
            value = column.default
            if value is None and not column.nullable:
                raise Lacking(name)
        inputs[name] = value
    return inputs


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Give complete rows as the model takes them, of the schema's types."""
    return table([row[name] for row in rows] for name in columns())


def table(values: Iterable[Iterable[Any]]) -> pd.DataFrame:
    """Give the values of each column as the model takes them."""
    named = zip(columns().items(), values, strict=True)
    return pd.DataFrame({name: array([*of], dtype(column)) for (name, column), of in named})
