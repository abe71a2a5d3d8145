"""Whether the last batch looks like the rows that the model in production was judged on."""

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
    found = files.read_json(FOUND)
    st.caption(f"{found['date']}: {found['rows']:,} rows, version {found['version']}")
    with suppress(Problem):  # MLflow is away, or has none yet
        now = model.version()
        if now != str(found["version"]):
            st.warning(f"Version {now} is in production now: no batch of it has been compared yet.")
    _verdict(found)
    if REPORT.exists():
        st.iframe(REPORT.read_text(encoding="utf-8"), height=1_000)
        return
    for name in ("predictions", "inputs", "quality"):
        if found[name]:
            st.subheader(name.capitalize())
            st.dataframe(pd.DataFrame.from_dict(found[name], orient="index"))


def _verdict(found: dict[str, Any]) -> None:
    if not found["judged"]:
        st.info("Drift is not judged.")
    elif found["moved"]:
        st.warning(
            "\n".join(["There is drift:", "", *(f"- {plain(line)}" for line in found["moved"])])
        )
    else:
        st.success("There is no drift.")
    if lines := found.get("unjudged"):  # a comparison of an older platform has none
        st.caption("\n".join(["Not judged:", "", *(f"- {plain(line)}" for line in lines)]))
