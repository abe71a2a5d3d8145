"""The evaluation is readable whatever the metrics are, and reports unknown names."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

SCORES = {
    **{f"mae_h{hour:02}": 1 + hour / 10 for hour in range(30)},
    "rows": 12_345,
    "baselines": {"naive": {"mae_h00": 2.0}, "other": {}},
}


def test_metrics_are_rows_and_models_are_columns(mlops: Any) -> None:
    lines = mlops("reporting").table(SCORES).splitlines()
    assert lines[0].split() == ["model", "naive", "other"]
    assert [line.split() for line in lines[1:3]] == [
        ["mae_h00", "1.0000", "2.0000"],
        ["mae_h01", "1.1000"],
    ]
    assert len(lines) == 31
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("x", "drawn"),
    [
        (pd.date_range("2026-01-01", periods=3, tz="UTC"), "y"),
        (pd.Series([1, 2, 3]), "y"),
        (pd.Series(["one", "two", "three"]), "three"),
    ],
    ids=["time", "numbers", "words"],
)
def test_a_picture_for_each_kind_of_x(mlops: Any, x: Any, drawn: str) -> None:
    svg = mlops("reporting").picture("name_of_it", pd.DataFrame({"x": x, "y": [1.0, 2.0, 0.5]}))
    assert svg.startswith("<svg")
    assert ">name of it</text>" in svg
    assert f">{drawn}</text>" in svg


def test_additional_columns_are_labelled_lines(mlops: Any) -> None:
    curve = pd.DataFrame({"x": [1, 2], "seen": [1.0, 2.0], "said_so": [2.0, 1.0]})
    svg = mlops("reporting").picture("two", curve)
    assert {">seen</text>", ">said so</text>"} <= {
        part[part.rindex(">", 0, -7) :] for part in _texts(svg)
    }


def _texts(svg: str) -> list[str]:
    return [part + "</text>" for part in svg.split("</text>")[:-1]]


def test_effects_are_shown_for_the_most_important_columns(mlops: Any) -> None:
    count = 200
    rows = pd.DataFrame(
        {
            "number": range(count),
            "word": ["a", "b"] * (count // 2),
            "text": [f"text {place}" for place in range(count)],
            "constant": 1.0,
        }
    )
    contributions = pd.DataFrame(
        {
            "number": rows["number"] / count - 0.5,
            "word": rows["word"].map({"a": -2.0, "b": 2.0}),
            "text": 9.0,
            "constant": 8.0,
            "not a column": 7.0,
        }
    )
    effects = mlops("training.evaluate").effects(rows, contributions)
    assert list(effects) == ["word", "number"]
    assert effects["word"].to_numpy().tolist() == [["b", 2.0], ["a", -2.0]]
    assert len(effects["number"]) == mlops("training.evaluate").BINS
    assert effects["number"]["contribution"].is_monotonic_increasing


def test_a_slice_of_an_unknown_column_is_reported(mlops: Any) -> None:
    evaluate = mlops("training.evaluate")
    values = evaluate.Params(slices=["airprot"])
    rows = pd.DataFrame({"airport": ["JFK"]})
    with pytest.raises(mlops("errors").Problem, match="no column airprot; there are airport"):
        evaluate.slice_scores(rows, rows, values, None)


ODD: dict[str, Any] = {
    "infinite": [float("inf"), 1.0, 2.0],
    "missing": [None, None, None],
    "too large to draw": [1e308, -1e308, 0.0],
    "dollars": ["$", "$$", "$\\frac{"],
    "markup": ["<script>alert(1)</script>", "</svg>", "-->"],
    "control characters": ["\x00", "\x1b[31m", "\n"],
    "surrogates": ["\ud800", "x\udfff", "ok"],
    "long": ["x" * 100_000, "y " * 50_000, "z"],
    "emoji": ["😀", "עברית", "中文"],
    "the same when cut": ["x" * 50 + "1", "x" * 50 + "2", "y"],
    "a$b_$^{": [1, 2, 3],
    "<script>": [1, 2, 3],
    "_a|b\n\x00\ud800": [1, 2, 3],
    "contribution": [1, 2, 3],
    "": [1, 2, 3],
    "lists": [[1.0], [2.0], [3.0]],
    "bytes": [b"\xff", b"a", b"b"],
    "whole": pd.array([1, None, 3], dtype="Int64"),
    "half": pd.array([1.0, 2.0, 3.0]).astype("float16"),
}


def test_odd_values_do_not_break_the_report(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = mlops("training.evaluate")
    monkeypatch.setattr(evaluate, "EFFECTS", len(ODD))
    odd = pd.DataFrame({name: pd.Series(values) for name, values in ODD.items()})
    rows = pd.concat([odd] * 10, ignore_index=True)
    contributions = pd.DataFrame({name: [float("inf"), -1.0, 0.5] * 10 for name in ODD})
    effects = evaluate.effects(rows, contributions)
    assert {*ODD} - {*effects} == {"missing"}
    words = pd.Series([str(value) for values in ODD.values() for value in values])
    curves = {
        "importance": evaluate.importance(contributions),
        "words": pd.DataFrame({"x": words, "y": float("nan")}),
    }
    scores = {name: float("nan") for name in ODD}
    slices = {f"{name}={words[0]}": {**scores, "rows": 3} for name in ODD}
    when = rows.assign(event_timestamp=pd.Timestamp("2026-01-01", tz="UTC"))
    page = evaluate.report({**scores, "baselines": {"<b>": scores}}, slices, curves, effects, when)
    mlops("files").write_text(tmp_path / "report.html", page)
    assert page.count("<svg") == len(curves) + len(effects)
    assert "<script" not in page
    assert "<td>nan</td>" not in page
    assert len(page) < 2_000_000


def test_a_plot_that_cannot_be_drawn_becomes_a_line_of_text(mlops: Any) -> None:
    def fail(_: Any) -> None:
        raise ValueError("not this one")

    line = mlops("reporting").draw("<b>", (5, 4), fail)
    assert line == "<p>&lt;b&gt; cannot be drawn: ValueError: not this one</p>"


@pytest.mark.parametrize("text", ["a|b", "a\nb", "`a", "<b>", "*a*", "a\\", "\ud800", "x" * 1_000])
def test_a_table_cell_stays_one_cell(mlops: Any, text: str) -> None:
    cell = mlops("reporting").cell(text)
    assert not re.search(r"(?<!\\)(\\\\)*[|`*<]", cell)
    assert "\n" not in cell
    assert cell.encode()
    assert len(cell) < 600


@pytest.mark.parametrize(("other", "change"), [("a", "+0.2000"), ("b", "")])
def test_a_sample_is_compared_only_on_the_same_test_rows(
    mlops: Any, other: str, change: str
) -> None:
    before = {"auc": 0.5, "rows": 9, "judged_on": "a"}
    page = mlops("ci.compare").page(
        "base", before, {"auc": 0.7, "rows": 9, "judged_on": other}, True
    )
    assert f"| auc | 0.5000 | 0.7000 | {change} |" in page
    assert ("other test rows" in page) == (not change)
