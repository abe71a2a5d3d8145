"""Self-contained HTML pages and their charts, for values of any kind."""

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import jinja2
import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import tables

# Text stays text even if it contains `$`, and equal curves give equal bytes.
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that UTF-8 or browsers reject, or that fonts cannot measure."""
LABEL = 40
BARS = 24


def render(template: str, **values: object) -> str:
    """Render one of the platform's Jinja templates, named by its path from this folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "cell": cell}
    return printable(environment.get_template(template).render(**values))


def names(scores: Mapping[str, Any]) -> list[str]:
    """Return the sorted names of the metrics, which are floats; other values are counts."""
    return sorted(name for name, value in scores.items() if isinstance(value, float))


def table(scores: Mapping[str, Any]) -> str:
    """Return the metrics as text, one per line, with columns for the model and the baselines."""
    models = {"model": scores, **scores["baselines"]}
    lines = [["", *models]]
    for name in names(scores):
        lines.append([name, *(number(values.get(name)) for values in models.values())])
    first = max(len(line[0]) for line in lines)
    width = max(len(cell) for line in lines for cell in line[1:]) + 2
    return "\n".join(
        line[0].ljust(first) + "".join(cell.rjust(width) for cell in line[1:]) for line in lines
    )


def number(value: float | None) -> str:
    """Return a number with four decimals, or "" if it is missing or not finite."""
    return f"{value:,.4f}" if value is not None and math.isfinite(value) else ""


def printable(text: str) -> str:
    """Replace each character that cannot be written or shown."""
    return UNPRINTABLE.sub("\ufffd", text)


def label(value: object, most: int = LABEL) -> str:
    """Return any value as one line of at most `most` printable characters."""
    text = " ".join(printable(str(value)).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def cell(value: object) -> str:
    """Return any value as the text of a Markdown table cell."""
    return re.sub(r"([\\|`*<])", r"\\\1", label(value, 500))


def picture(name: str, curve: pd.DataFrame) -> str:
    """Draw lines over the first column, or bars of the second if the first contains words."""
    x = curve.iloc[:, 0]
    lines = [(_words(title), curve.iloc[:, place]) for place, title in enumerate(curve)][1:]

    def plot(axes: Axes) -> None:
        if pd.api.types.is_numeric_dtype(x) or _is_time(x):
            marker = "o" if len(curve) <= BARS else None
            for title, line in lines:
                axes.plot(tables.finite(x), tables.finite(line), marker=marker, label=title)
            axes.set_xlabel(_words(x.name))
            if len(lines) == 1:
                axes.set_ylabel(lines[0][0])
            else:
                axes.legend()
            if _is_time(x):
                axes.tick_params(axis="x", rotation=30)
        else:
            title, line = lines[0]
            places = range(min(len(curve), BARS))
            axes.barh([-place for place in places], tables.finite(line).head(BARS))
            axes.set_yticks([-place for place in places], [label(word) for word in x.head(BARS)])
            axes.set_xlabel(title)

    return draw(_words(name), (5, 4), plot)


def draw(name: str, size: tuple[float, float], plot: Callable[[Axes], None]) -> str:
    """Return an SVG of what `plot` draws on the axes, or a paragraph that says why it failed."""
    stream = io.StringIO()
    try:
        with mpl.rc_context(STYLE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about glyphs that the browser's font may have
            figure = Figure(figsize=size, layout="constrained")
            axes = figure.subplots()
            axes.set_title(label(name))
            plot(axes)
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    except Exception as error:  # a missing chart must not prevent the page
        reason = label(f"{type(error).__name__}: {error}", 200)
        return f"<p>{escape(label(name))} cannot be drawn: {escape(reason)}</p>"
    svg = stream.getvalue()
    return svg[svg.index("<svg") :]


def _is_time(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_datetime64_any_dtype(column)


def _words(name: object) -> str:
    return label(str(name).replace("_", " "))
