"""Altair charts of the dashboard's pages."""

import altair as alt
import pandas as pd

SHOWN = 15
"""Maximum number of features in a chart."""

BEFORE, AFTER = "#9aa5b1", "#2f6fde"


def over_time(points: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Return one line per model; `points` has trained, model, value, version and gate."""
    base = alt.Chart(points).encode(
        x=alt.X("trained:T", title=None, axis=alt.Axis(format="%d %b %H:%M", tickCount=6)),
        y=alt.Y("value:Q", title=metric.replace("_", " "), scale=alt.Scale(zero=False)),
        color=alt.Color("model:N", title=None, sort=["model"]),
        tooltip=["model", "value", "version", "gate", "trained"],
    )
    marks = base.mark_point(size=90, filled=True).encode(
        shape=alt.Shape("gate:N", title="gate", sort=["passed", "failed"])
    )
    chart: alt.LayerChart = base.mark_line() + marks
    return chart.properties(height=320)


def contributions(parts: pd.DataFrame) -> alt.LayerChart:
    """Return signed bars, the largest first; `parts` has a row per feature and a column per bar."""
    order = parts.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:SHOWN]
    bars = parts.loc[order].rename_axis("feature").reset_index().melt("feature")
    names, colors = [*map(str, parts)], [BEFORE, AFTER][-parts.shape[1] :]
    base = alt.Chart(bars).encode(
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
    chart: alt.LayerChart = base.mark_bar() + zero
    return chart.properties(height=alt.Step(13))


def distribution(counts: pd.DataFrame) -> alt.Chart:
    """Return a bar chart; `counts` has rows, and either from and to or value."""
    bars: alt.Chart = alt.Chart(counts).mark_bar(color=AFTER)
    if "value" in counts:
        return bars.encode(
            x=alt.X("rows:Q"),
            y=alt.Y("value:N", title=None, sort="-x"),
            tooltip=["value", "rows"],
        )
    return bars.encode(
        x=alt.X("from:Q", bin="binned", title=None),
        x2="to:Q",
        y=alt.Y("rows:Q"),
        tooltip=["from", "to", "rows"],
    )


def days(counts: pd.DataFrame) -> alt.Chart:
    """Return one bar per day; `counts` has day and rows."""
    bars: alt.Chart = alt.Chart(counts).mark_bar(color=BEFORE, size=24)
    return bars.encode(x=alt.X("day:O", title=None), y="rows:Q", tooltip=["day", "rows"])
