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
    rows: pd.DataFrame,
) -> str:
    """Give the page: metrics beside the baselines', curves, slices."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    when = rows["event_timestamp"]
    return environment.get_template("report.html.j2").render(
        metrics=sorted(name for name, value in scores.items() if isinstance(value, float)),
        models={"model": scores, **scores["baselines"]},
        slices=slices,
        pictures={name: picture(name, curve) for name, curve in curves.items()},
        rows=f"{len(rows):,}",
        since=when.min().date(),
        until=when.max().date(),
    )


def picture(name: str, curve: pd.DataFrame) -> str:
    """Give an SVG: a line, or bars where x is words."""
    x, y = curve.columns[:2]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5, 4), layout="constrained")
        axes = figure.subplots()
        if pd.api.types.is_numeric_dtype(curve[x]):
            axes.plot(curve[x], curve[y], marker="o" if len(curve) <= 24 else None)
            axes.set_ylabel(_words(y))
            axes.set_xlabel(_words(x))
        else:
            shown = curve.head(24).iloc[::-1]
            axes.barh(shown[x].astype(str), shown[y])
            axes.set_xlabel(_words(y))
        axes.set_title(_words(name))
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    return svg[svg.index("<svg") :]


def _words(name: str) -> str:
    return name.replace("_", " ")
