"""Explanation of one row's prediction, and of the prediction for edited inputs."""

import math
import random
from typing import Any

import pandas as pd
import streamlit as st

from .. import charts, inputs, model, rows
from ..text import words

TITLE, ICON, PLACE = "Explain and what-if", ":material/tune:", 2


def show() -> None:
    """Draw the page."""
    version = model.version()
    loaded = model.loaded(version)
    source, number = _choose()
    source_rows = rows.read(source)
    row = source_rows.loc[[number]]
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("What if")
        st.caption(
            f"The inputs of row {number:,}: edit them to see what version {version} predicts."
        )
        edited = inputs.edit(row.iloc[0], source_rows, f"{source}/{number}")
        if hasattr(loaded, "derive"):
            context = rows.full_row(source, number)
            edited = model.follow(loaded, row.iloc[0].to_dict(), edited, context)
    with right:
        # Both in one call: explanations of texts may depend on the words of all rows in it.
        pair = pd.concat([row, rows.typed(pd.DataFrame([edited]))])
        _answer(loaded, pair.reset_index(drop=True))


def _answer(loaded: Any, pair: pd.DataFrame) -> None:
    """Draw the prediction and its contributions, before and, if inputs changed, after the edit."""
    changed = not pair.head(1).equals(pair.tail(1).set_axis([0]))
    shown = pair if changed else pair.head(1)
    st.subheader("Prediction")
    _predictions(loaded.predict(shown))
    st.subheader("Why")
    parts = model.explain(loaded, shown).T
    parts.columns = pd.Index(["as it was", "as edited"][: len(shown)])
    st.altair_chart(charts.contributions(parts))


def _choose() -> tuple[str, int]:
    source_area, row_area, button_area = st.columns([2, 2, 6], vertical_alignment="bottom")
    source = str(source_area.selectbox("Rows from", rows.sources()))
    last = len(rows.read(source)) - 1
    key = f"row of the {source}"

    def another() -> None:
        st.session_state[key] = random.randint(0, last)

    button_area.button("Random row", on_click=another, icon=":material/shuffle:")
    number = row_area.number_input(f"Row, 0 to {last:,}", 0, last, key=key)
    return source, int(number)


def _predictions(predictions: pd.DataFrame) -> None:
    areas = st.columns(max(3, predictions.shape[1]))
    for area, name in zip(areas, map(str, predictions), strict=False):
        first, last = predictions[name].iloc[0], predictions[name].iloc[-1]
        delta = _difference(first, last)
        area.metric(words(name), _text(last), delta, delta_color="off")


def _difference(before: Any, after: Any) -> str | None:
    if before == after or (pd.isna(before) and pd.isna(after)):
        return None
    if pd.api.types.is_number(after) and not isinstance(after, bool):
        return f"{after - before:+.4g}" if math.isfinite(after - before) else f"was {_text(before)}"
    return f"was {_text(before)}"


def _text(value: object) -> str:
    return f"{value:.4g}" if pd.api.types.is_float(value) else str(value)
