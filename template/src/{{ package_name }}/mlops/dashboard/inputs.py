"""Widgets for the model's inputs, from the schema that it was registered with."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st
from pandera.api.pandas.components import Column

from .. import tables
from . import model
from .text import plain

ACROSS = 2
WORDS = 200
"""A text input with more distinct values gets a text area instead of a select box."""


def edit(row: pd.Series, rows: pd.DataFrame, key: str) -> dict[str, Any]:
    """Draw the widgets, filled with `row`, and return their values.

    Args:
        row: the inputs before the edit.
        rows: all rows of the source, from which types and options are derived.
        key: prefix of the widgets' keys, unique per row.
    """
    columns = model.inputs().to_schema().columns
    areas, edited = st.columns(ACROSS), {}
    for number, (name, column) in enumerate(columns.items()):
        with areas[number % ACROSS]:
            value = None if pd.isna(row[name]) else row[name]
            edited[name] = _widget(column, value, rows[name], f"{key}/{name}")
    return edited


def _widget(column: Column, value: Any, values: pd.Series, key: str) -> object:
    label, help_ = plain(column.name), column.description
    if allowed := _rule(column, "isin", "allowed_values"):
        options = [*allowed, *([None] if column.nullable else [])]
        return st.selectbox(label, options, options.index(value), key=key, help=help_)
    if pd.api.types.is_bool_dtype(values):
        return st.toggle(label, bool(value), key=key, help=help_)
    if pd.api.types.is_numeric_dtype(values):
        return _number(column, value, values, key)
    words = _words(values)
    if len(words) <= WORDS:
        index = words.index(value) if value in words else None
        return st.selectbox(label, words, index, key=key, help=help_, accept_new_options=True)
    return st.text_area(label, value, key=key, help=help_, height=68)


def _number(column: Column, value: float | None, values: pd.Series, key: str) -> float | None:
    whole = pd.api.types.is_integer_dtype(values)
    kind = int if whole else float
    least = _rule(column, "greater_than_or_equal_to", "min_value")
    most = _rule(column, "less_than_or_equal_to", "max_value")
    initial = None if value is None or not math.isfinite(value) else kind(value)
    # A widget's own initial value cannot be cleared, one in the session's state can.
    if column.nullable:
        st.session_state.setdefault(key, initial)
        initial = None
    draw: Callable[..., float | None] = st.number_input  # its overloads distinguish int from float
    return draw(
        plain(column.name),
        value=initial,
        min_value=None if least is None else kind(least),
        max_value=None if most is None else kind(most),
        step=1 if whole else _step(values),
        format="%d" if whole else "%.6g",
        placeholder="missing" if column.nullable else "a number",
        key=key,
        help=column.description,
    )


def _rule(column: Column, check: str, argument: str) -> Any:
    """Return the argument of one of the column's pandera checks, or None."""
    arguments = [item.statistics[argument] for item in column.checks if item.name == check]
    return arguments[0] if arguments else None


def _step(values: pd.Series) -> float:
    """Return the standard deviation of the values, rounded down to a power of ten."""
    spread = tables.finite(values).std()
    return float(f"1e{f'{spread:e}'.split('e')[1]}") if 0 < spread < math.inf else 1.0


def _words(values: pd.Series) -> list[str]:
    return sorted(map(str, values.dropna().unique()))
