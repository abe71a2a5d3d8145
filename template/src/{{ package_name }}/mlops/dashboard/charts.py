"""The charts."""

from typing import Any

import altair as alt
import pandas as pd

SHOWN = 15
"""Features in a chart; more say less."""

BEFORE, AFTER = "#9aa5b1", "#2f6fde"


def over_time(points: pd.DataFrame, metric: str) -> Any:
    """A line a model; `points` has trained, model, value, version and gate."""
    base = alt.Chart(points).encode(
        x=alt.X("trained:T", title=None, axis=alt.Axis(format="%d %b %H:%M", tickCount=6)),
        y=alt.Y("value:Q", title=metric.replace("_", " "), scale=alt.Scale(zero=False)),
        color=alt.Color("model:N", title=None, sort=["model"]),
        tooltip=["model", "value", "version", "gate", "trained"],
    )
    marks = base.mark_point(size=90, filled=True).encode(
        shape=alt.Shape("gate:N", title="gate", sort=["passed", "failed"])
    )
    return (base.mark_line() + marks).properties(height=320)


def contributions(parts: pd.DataFrame) -> Any:
    """Signed bars, the largest first; `parts` has a row a feature, a column a bar."""
    order = parts.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:SHOWN]
    bars = parts.loc[order].rename_axis("feature").reset_index().melt("feature")
    names, colors = [*map(str, parts)], [BEFORE, AFTER][-parts.shape[1] :]
    chart = alt.Chart(bars).encode(
        x=alt.X("value:Q", title="contribution"),
        y=alt.Y("feature:N", title=None, sort=list(order), axis=alt.Axis(labelLimit=260)),
        yOffset=alt.YOffset("variable:N", sort=names),
        color=alt.Color(
            "variable:N",
            title=None,
            sort=names,
            scale=alt.Scale(range=colors),
            legend=alt.Legend(orient="top"),
        ),
        tooltip=["feature", "variable", alt.Tooltip("value", format="+.4f")],
    )
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color="#57606a").encode(x="x:Q")
    return (chart.mark_bar() + zero).properties(height=alt.Step(13))


def distribution(counts: pd.DataFrame) -> Any:
    """Bars; `counts` has from and to, or value, and rows."""
    if "value" in counts:
        return (
            alt.Chart(counts)
            .mark_bar(color=AFTER)
            .encode(
                x=alt.X("rows:Q"),
                y=alt.Y("value:N", title=None, sort="-x"),
                tooltip=["value", "rows"],
            )
        )
    return (
        alt.Chart(counts)
        .mark_bar(color=AFTER)
        .encode(
            x=alt.X("from:Q", bin="binned", title=None),
            x2="to:Q",
            y=alt.Y("rows:Q"),
            tooltip=["from", "to", "rows"],
        )
    )


def days(counts: pd.DataFrame) -> Any:
    """A bar a day; `counts` has day and rows."""
    return (
        alt.Chart(counts)
        .mark_bar(color=BEFORE, size=24)
        .encode(x=alt.X("day:O", title=None), y="rows:Q", tooltip=["day", "rows"])
    )
