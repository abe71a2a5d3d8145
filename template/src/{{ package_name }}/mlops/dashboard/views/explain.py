"""Why the model says what it says of a row, and what it would say of another."""

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
    seen = rows.read(source)
    row = seen.loc[[number]]
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("What if")
        st.caption(
            f"The inputs of row {number:,}: change them and see what version {version} says."
        )
        edited = inputs.edit(row.iloc[0], seen, f"{source}/{number}")
        if hasattr(loaded, "derive"):
            asked = rows.asked(source, number)
            edited = model.follow(loaded, row.iloc[0].to_dict(), edited, asked)
    with right:
        # Both at once: what explains a row may depend on the words of all that are explained.
        both = pd.concat([row, rows.typed(pd.DataFrame([edited]))])
        _answer(loaded, both.reset_index(drop=True))


def _answer(loaded: Any, both: pd.DataFrame) -> None:
    """Draw the prediction and its reasons, as they were and, if anything changed, as they are."""
    changed = not both.head(1).equals(both.tail(1).set_axis([0]))
    kept = both if changed else both.head(1)
    st.subheader("What the model says")
    _predictions(loaded.predict(kept))
    st.subheader("Why")
    parts = model.explain(loaded, kept).T
    parts.columns = pd.Index(["as it was", "as edited"][: len(kept)])
    st.altair_chart(charts.contributions(parts))


def _choose() -> tuple[str, int]:
    source_area, row_area, button_area = st.columns([2, 2, 6], vertical_alignment="bottom")
    source = str(source_area.selectbox("Rows of the", rows.sources()))
    last = len(rows.read(source)) - 1
    key = f"row of the {source}"

    def another() -> None:
        st.session_state[key] = random.randint(0, last)

    button_area.button("Another row", on_click=another, icon=":material/shuffle:")
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


def _text(value: Any) -> str:
    return f"{value:.4g}" if pd.api.types.is_float(value) else str(value)
