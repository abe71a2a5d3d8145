"""Comparison of the last batch with the rows that its model was tested on."""

from contextlib import suppress
from typing import Any

import pandas as pd
import streamlit as st

from ... import files
from ...errors import Problem
from .. import model
from ..text import plain

TITLE, ICON, PLACE = "Drift", ":material/compare_arrows:", 4

FOUND = files.BATCH / "drift.json"
REPORT = FOUND.with_suffix(".html")


def show() -> None:
    """Draw the page."""
    if not FOUND.exists():
        raise Problem("no batch has been compared yet: type `make batch`")
    result = files.read_json(FOUND)
    st.caption(f"{result['date']}: {result['rows']:,} rows, version {result['version']}")
    with suppress(Problem):  # MLflow is unavailable, or has no version yet
        now = model.version()
        if now != str(result["version"]):
            st.warning(f"Version {now} is in production now: none of its batches is compared yet.")
    _verdict(result)
    if REPORT.exists():
        st.iframe(REPORT.read_text(encoding="utf-8"), height=1_000)
        return
    for name in ("predictions", "inputs", "quality"):
        if result[name]:
            st.subheader(name.capitalize())
            st.dataframe(pd.DataFrame.from_dict(result[name], orient="index"))


def _verdict(result: dict[str, Any]) -> None:
    if not result["judged"]:
        st.info("Drift was not judged.")
    elif result["moved"]:
        st.warning(
            "\n".join(["There is drift:", "", *(f"- {plain(line)}" for line in result["moved"])])
        )
    else:
        st.success("There is no drift.")
    if lines := result.get("unjudged"):  # older platforms did not write this key
        st.caption("\n".join(["Not judged:", "", *(f"- {plain(line)}" for line in lines)]))
