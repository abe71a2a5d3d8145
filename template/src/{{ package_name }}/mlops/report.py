"""The evaluation as one HTML page that needs nothing beside it."""

import io
from collections.abc import Mapping
from typing import Any

import jinja2
import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

# Text stays text, and the same curves give the same bytes.
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def render(
    scores: Mapping[str, Any],
    slices: Mapping[str, Mapping[str, float]],
    curves: Mapping[str, pd.DataFrame],
    effects: Mapping[str, pd.DataFrame],
    rows: pd.DataFrame,
) -> str:
    """Give the page: metrics beside the baselines', curves, what moves the predictions, slices."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = number
    when = rows["event_timestamp"]
    return environment.get_template("report.html.j2").render(
        metrics=names(scores),
        models={"model": scores, **scores["baselines"]},
        slices=slices,
        pictures=[picture(name, curve) for name, curve in curves.items() if name != "importance"],
        moves=[
            picture("importance", curves["importance"]),
            *(picture(name, effect) for name, effect in effects.items()),
        ],
        rows=f"{len(rows):,}",
        since=when.min().date(),
        until=when.max().date(),
    )


def names(scores: Mapping[str, Any]) -> list[str]:
    """Give the metrics' names, in order; what is no fraction is a count."""
    return sorted(name for name, value in scores.items() if isinstance(value, float))


def table(scores: Mapping[str, Any]) -> str:
    """Give the metrics for a terminal, a line each, those of the baselines beside the model's."""
    models = {"model": scores, **scores["baselines"]}
    lines = [["", *models]]
    for name in names(scores):
        lines.append([name, *(number(found.get(name)) for found in models.values())])
    first = max(len(line[0]) for line in lines)
    width = max(len(cell) for line in lines for cell in line[1:]) + 2
    return "\n".join(
        line[0].ljust(first) + "".join(cell.rjust(width) for cell in line[1:]) for line in lines
    )


def number(value: float | None) -> str:
    """Give four decimals; nothing for a metric that is not there."""
    return "" if value is None else f"{value:,.4f}"


def picture(name: str, curve: pd.DataFrame) -> str:
    """Give an SVG: lines over the first column, or bars of the second where the first is words."""
    x, *lines = curve.columns
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5, 4), layout="constrained")
        axes = figure.subplots()
        if pd.api.types.is_numeric_dtype(curve[x]) or _is_time(curve[x]):
            for line in lines:
                marker = "o" if len(curve) <= 24 else None
                axes.plot(curve[x], curve[line], marker=marker, label=_words(line))
            axes.set_xlabel(_words(x))
            if len(lines) == 1:
                axes.set_ylabel(_words(lines[0]))
            else:
                axes.legend()
            if _is_time(curve[x]):
                axes.tick_params(axis="x", rotation=30)
        else:
            shown = curve.head(24).iloc[::-1]
            axes.barh(shown[x].astype(str), shown[lines[0]])
            axes.set_xlabel(_words(lines[0]))
        axes.set_title(_words(name))
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    return svg[svg.index("<svg") :]


def _is_time(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_datetime64_any_dtype(column)


def _words(name: str) -> str:
    return name.replace("_", " ")
