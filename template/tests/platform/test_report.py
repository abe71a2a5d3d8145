"""The evaluation is readable whatever the metrics are, and says what it does not know."""

from typing import Any

import pandas as pd
import pytest

SCORES = {
    **{f"mae_h{hour:02}": 1 + hour / 10 for hour in range(30)},
    "rows": 12_345,
    "baselines": {"naive": {"mae_h00": 2.0}, "other": {}},
}


def test_a_metric_is_a_line_and_a_model_is_a_column(mlops: Any) -> None:
    lines = mlops("report").table(SCORES).splitlines()
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
    svg = mlops("report").picture("name_of_it", pd.DataFrame({"x": x, "y": [1.0, 2.0, 0.5]}))
    assert svg.startswith("<svg")
    assert ">name of it</text>" in svg
    assert f">{drawn}</text>" in svg


def test_further_columns_are_lines_with_their_names(mlops: Any) -> None:
    curve = pd.DataFrame({"x": [1, 2], "seen": [1.0, 2.0], "said_so": [2.0, 1.0]})
    svg = mlops("report").picture("two", curve)
    assert {">seen</text>", ">said so</text>"} <= {
        part[part.rindex(">", 0, -7) :] for part in _texts(svg)
    }


def _texts(svg: str) -> list[str]:
    return [part + "</text>" for part in svg.split("</text>")[:-1]]


def test_effects_are_of_the_most_important_columns_of_the_rows(mlops: Any) -> None:
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
    found = mlops("evaluate").effects(rows, contributions)
    assert list(found) == ["word", "number"]
    assert found["word"].to_numpy().tolist() == [["b", 2.0], ["a", -2.0]]
    assert len(found["number"]) == mlops("evaluate").BINS
    assert found["number"]["contribution"].is_monotonic_increasing


def test_a_slice_of_no_column_is_one_line(mlops: Any) -> None:
    evaluate = mlops("evaluate")
    values = evaluate.Params(slices=["airprot"])
    rows = pd.DataFrame({"airport": ["JFK"]})
    with pytest.raises(mlops("errors").Problem, match="no column airprot; there are airport"):
        evaluate.slice_scores(rows, rows, values, None)
