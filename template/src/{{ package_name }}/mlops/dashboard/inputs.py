"""A widget for each of the model's inputs, by the schema that it was registered with."""

import math
from typing import Any

import pandas as pd
import streamlit as st
from pandera.api.pandas.components import Column

from .. import tables
from . import model
from .text import plain

ACROSS = 2
WORDS = 200
"""Text with more values than this is written and not chosen."""


def edit(row: pd.Series, rows: pd.DataFrame, key: str) -> dict[str, Any]:
    """Draw the widgets, filled with `row`; give what they say.

    Args:
        row: the inputs before the edit.
        rows: those that it was chosen from; they tell which words there are.
        key: another row's widgets have another.
    """
    columns = model.inputs().to_schema().columns
    areas, edited = st.columns(ACROSS), {}
    for number, (name, column) in enumerate(columns.items()):
        with areas[number % ACROSS]:
            given = None if pd.isna(row[name]) else row[name]
            edited[name] = _widget(column, given, rows[name], f"{key}/{name}")
    return edited


def _widget(column: Column, given: Any, seen: pd.Series, key: str) -> Any:
    label, help_ = plain(column.name), column.description
    if allowed := _rule(column, "isin", "allowed_values"):
        options = [*allowed, *([None] if column.nullable else [])]
        return st.selectbox(label, options, options.index(given), key=key, help=help_)
    if pd.api.types.is_bool_dtype(seen):
        return st.toggle(label, bool(given), key=key, help=help_)
    if pd.api.types.is_numeric_dtype(seen):
        return _number(column, given, seen, key)
    known = _words(seen)
    if len(known) <= WORDS:
        place = known.index(given) if given in known else None
        return st.selectbox(label, known, place, key=key, help=help_, accept_new_options=True)
    return st.text_area(label, given, key=key, help=help_, height=68)


def _number(column: Column, given: Any, seen: pd.Series, key: str) -> Any:
    whole = pd.api.types.is_integer_dtype(seen)
    kind = int if whole else float
    least = _rule(column, "greater_than_or_equal_to", "min_value")
    most = _rule(column, "less_than_or_equal_to", "max_value")
    value = None if given is None or not math.isfinite(given) else kind(given)
    if (
        column.nullable
    ):  # a number that a widget begins with cannot be cleared; one of the state can
        st.session_state.setdefault(key, value)
        value = None
    draw: Any = st.number_input  # its types tell whole numbers from others
    return draw(
        plain(column.name),
        value=value,
        min_value=None if least is None else kind(least),
        max_value=None if most is None else kind(most),
        step=1 if whole else _step(seen),
        format="%d" if whole else "%.6g",
        placeholder="missing" if column.nullable else "a number",
        key=key,
        help=column.description,
    )


def _rule(column: Column, check: str, argument: str) -> Any:
    """What a check of pandera's was given; nothing where the column has no such check."""
    found = [item.statistics[argument] for item in column.checks if item.name == check]
    return found[0] if found else None


def _step(seen: pd.Series) -> float:
    """A power of ten, about a tenth of what the values spread over."""
    spread = tables.finite(seen).std()
    return float(f"1e{f'{spread:e}'.split('e')[1]}") if 0 < spread < math.inf else 1.0


def _words(seen: pd.Series) -> list[str]:
    return sorted(map(str, seen.dropna().unique()))
