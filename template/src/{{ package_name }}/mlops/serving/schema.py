"""The request model: the team's schema as a pydantic model, with its checks and its example.

Feast determines which inputs a client must send: the features of the feature service are optional,
and the entity keys by which they are looked up are required.
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
"""Bounds of a column of integers."""

RULES = {
    "greater_than": {"gt": "min_value"},
    "greater_than_or_equal_to": {"ge": "min_value"},
    "less_than": {"lt": "max_value"},
    "less_than_or_equal_to": {"le": "max_value"},
    "in_range": {"ge": "min_value", "le": "max_value"},
    "str_length": {"min_length": "min_value", "max_length": "max_value"},
}
"""Pandera checks that pydantic has too: its rules, each with the argument of the check."""


class Lacking(Exception):
    """An input that the model needs is neither in the request nor in the online store."""


columns = cache(contract.inputs)
"""The input columns of the model, by name."""


def body(
    served: Iterable[str], keys: Mapping[str, type], derivation: Derivation | None = None
) -> type[BaseModel]:
    """Return the pydantic model of a request body.

    `served` are the features in Feast, `keys` the entity keys with their types. Derived columns are
    not part of a request.
    """
    optional = set(served)
    fields: dict[str, Any] = {
        name: _field(column, optional=name in optional) for name, column in columns().items()
    }
    fields |= {name: (bounded(key, {}), ...) for name, key in keys.items() if name not in fields}
    if derivation and derivation.derive:
        declared = contract.request_columns()
        fields |= {
            name: _field(declared[name], optional=False)
            if name in declared
            else (bounded(type(value), {}), ...)
            for name, value in derivation.example.items()
            if name not in fields
        }
        fields = {name: rule for name, rule in fields.items() if name not in derivation.columns}
    try:
        row = _row(fields, "rust-regex")  # linear in the text, whatever the pattern
    except SchemaError:  # the pattern has look-around or backreferences
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
    annotation: Any = None
    for check in column.checks:
        arguments = check.statistics or {}
        for rule, argument in RULES.get(str(check.name), {}).items():
            if arguments.get(argument) is not None:
                rules[rule] = arguments[argument]
        if check.name == "str_matches":  # anchored at the start, as in pandera
            rules["pattern"] = f"^(?:{arguments['pattern']})"
        if check.name == "isin" and kind(column) in (str, int):
            annotation = _number(kind(column), Literal[*arguments["allowed_values"]])
    annotation = annotation or bounded(kind(column), rules)
    empty = optional or column.nullable
    field = Field(default=None if empty else ..., description=column.description)
    return (annotation | None if empty else annotation), field


def bounded(base: type, rules: Mapping[str, Any]) -> Any:
    """Return the type with its rules, and with the bounds of a table's columns."""
    bounds: dict[type, dict[str, Any]] = {int: INT64, str: {"max_length": MAX_TEXT}}
    return _number(base, Annotated[base, Field(**{**bounds.get(base, {}), **rules})])


def _number(base: type, annotation: Any) -> Any:
    """Let integers accept 12.0: JSON has one kind of number, and pandas sends 12 like that."""
    return Annotated[annotation, BeforeValidator(_whole)] if base is int else annotation


def _whole(value: object) -> object:
    return int(value) if type(value) is float and value.is_integer() else value


def complete(row: Row, served: Row) -> dict[str, Any]:
    """Return the model's inputs for a row; inputs that it lacks come from `served`.

    Inputs missing there too get the schema's default, or None if the column is nullable.

    Raises:
        Lacking: a missing input has no default and is not nullable.
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
    """Return complete rows as a table with the schema's types."""
    return table([row[name] for row in rows] for name in columns())


def table(values: Iterable[Iterable[Any]]) -> pd.DataFrame:
    """Return the values of each column as a table with the schema's types."""
    pairs = zip(columns().items(), values, strict=True)
    return pd.DataFrame({name: array([*each], dtype(column)) for (name, column), each in pairs})
