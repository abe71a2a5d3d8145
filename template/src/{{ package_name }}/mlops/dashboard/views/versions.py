"""Models over time: their metrics, compared with the baselines, and the gate's verdicts."""

import pandas as pd
import streamlit as st

from ...registry.versions import CHAMPION
from .. import charts, history
from ..text import words

TITLE, ICON, PLACE = "Versions", ":material/timeline:", 1

ABOUT = ["version", "aliases", "trained", "gate", "commit", "engine", "data"]
ACROSS = 6


def show() -> None:
    """Draw the page."""
    runs = history.runs()
    names = [name for name in map(str, runs) if _is_metric(runs, name)]
    _champion(runs, names)
    st.subheader("Over time")
    alike = _judged_alike(runs)
    chosen = st.selectbox("Metric", [name for name in names if alike[name].notna().any()])
    st.altair_chart(charts.over_time(_with_baselines(alike, str(chosen)), str(chosen)))
    st.subheader("Every model that reached the gate")
    st.dataframe(
        runs.assign(data=runs["data"].str[:8])[[*ABOUT, *names]],
        hide_index=True,
        column_config={
            "trained": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "data": st.column_config.TextColumn(
                "test rows", help="Metrics are comparable only between models with the same value."
            ),
            **{name: st.column_config.NumberColumn(format="%.4f") for name in names},
        },
    )
    _verdicts(runs)


def _judged_alike(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the models that were tested on the same rows: the latest's, or those selected."""
    titles = {
        str(data): f"{part['rows'].iloc[0]:,.0f} rows: {_versions(part)}"
        for data, part in runs.groupby("data", sort=False)
    }
    if len(titles) == 1:
        return runs
    data = st.selectbox("Tested on", [*titles], format_func=titles.__getitem__)
    return runs[runs["data"] == data]


def _versions(runs: pd.DataFrame) -> str:
    registered = [version for version in runs["version"] if version]
    return f"version {', '.join(registered)}" if registered else "unregistered models"


def _is_metric(runs: pd.DataFrame, name: str) -> bool:
    number = pd.api.types.is_numeric_dtype(runs[name]) and name != "rows"
    return number and not name.startswith("baselines.")


def _champion(runs: pd.DataFrame, names: list[str]) -> None:
    """Draw the champion's metrics, each with its difference from the previous version."""
    registered = runs[runs["version"] != ""].reset_index(drop=True)
    positions = registered.index[registered["aliases"].map(_has_champion)]
    if positions.empty:
        st.info("No model has passed the gate yet: see below which rules were broken.")
        return
    champion = registered.loc[positions[0]]
    before = registered.loc[positions[0] + 1 :]
    older = before[before["data"] == champion["data"]].head(1)
    note = ""
    if len(older):
        note = f" Differences are from version {older['version'].iloc[0]}."
    elif len(before):
        note = " No earlier version was tested on the same rows."
    st.caption(f"Version {champion['version']} is the champion.{note}")
    shown = [name for name in names if pd.notna(champion[name])]
    for area, name in zip(st.columns(ACROSS), shown, strict=False):
        comparable = len(older) and pd.notna(older[name].iloc[0])
        delta = f"{champion[name] - older[name].iloc[0]:+.4f}" if comparable else None
        area.metric(words(name), f"{champion[name]:.4f}", delta, delta_color="off")


def _has_champion(aliases: list[str]) -> bool:
    return CHAMPION in aliases


def _with_baselines(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one row per point: time, model and value, for the models and their baselines."""
    ours = {"model": metric}
    theirs = {
        name.split(".")[1]: name
        for name in map(str, runs)
        if name.startswith("baselines.") and name.endswith(f".{metric}")
    }
    parts = [
        runs.assign(model=model, value=runs[column]) for model, column in (ours | theirs).items()
    ]
    return pd.concat(parts)[["trained", "version", "gate", "model", "value"]].dropna(subset="value")


def _verdicts(runs: pd.DataFrame) -> None:
    st.subheader("Gate verdicts")
    names = {
        run: f"version {version}" if version else f"not registered, {trained:%d %B %Y, %H:%M}"
        for run, version, trained in zip(runs["run"], runs["version"], runs["trained"], strict=True)
    }
    run = st.selectbox("Model", list(names), format_func=names.__getitem__)
    rules = history.verdicts(str(run))
    if rules.empty:
        st.info("The gate has no rules: add some to the section `gate` of params.yaml.")
        return
    broken = rules["broken"] != ""
    if broken.any():
        st.error(f"{broken.sum()} of {len(rules)} rules are broken.")
    else:
        st.success(f"All {len(rules)} rules are kept.")
    table = rules.assign(verdict=broken.map({True: "broken", False: "kept"}))
    st.dataframe(
        table.sort_values("verdict", kind="stable")[["verdict", *history.COLUMNS]],
        hide_index=True,
        column_config={"value": st.column_config.NumberColumn(format="%.4f"), "broken": "reason"},
    )
