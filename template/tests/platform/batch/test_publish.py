"""The predictions table holds all values, under unambiguous names, or the error says why not."""

import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as arrow
import pytest
from deltalake import DeltaTable, write_deltalake

NEW_YORK = "America/New_York"


def test_a_name_that_is_taken_gets_a_prefix_and_others_stay(mlops: Any) -> None:
    names = mlops("data.delta").names(
        ["date", "a", "Score", "request_date"], ["score", "model_version"]
    )
    assert names == (
        {
            "date": "request_request_date",
            "a": "a",
            "Score": "request_Score",
            "request_date": "request_date",
        },
        {"score": "score", "model_version": "prediction_model_version"},
    )


DAY = [1, 2, 3]
KINDS: dict[str, Any] = {
    "Int64": pd.array([1, None, 3], dtype="Int64"),
    "categories": pd.Categorical(["a", "b", None]),
    "decimals": [Decimal("1.10"), None, Decimal("22.123")],
    "zoned": pd.to_datetime(DAY, unit="D", utc=True).tz_convert(NEW_YORK).as_unit("s"),
    "naive": pd.to_datetime(DAY, unit="D").as_unit("ms"),
    "dates": [datetime.date(2013, 1, one) for one in DAY],
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "booleans with nothing": pd.Series([True, None, False], dtype=object),
    "uint64": np.array(DAY, "uint64"),
    "uint8": np.array([1, 2, 255], "uint8"),
    "float16": np.array([0.5, 1, 2], "float16"),
    "float32": np.array([0.5, 1, np.nan], "float32"),
    "infinite": [np.inf, -np.inf, 1.5],
    "lists": [[1, 2], [], None],
    "dicts": [{"a": 1}, {"b": "x"}, None],
    "bytes": [b"\xff", None, b""],
    "string": pd.array(["a", None, ""], dtype="string"),
    "arrow": pd.Series([1, None, 2], dtype=pd.ArrowDtype(arrow.int32())),
}
NO_TYPE: dict[str, Any] = {
    "timedelta": pd.to_timedelta(DAY, unit="s"),
    "times of day": [datetime.time(one) for one in DAY],
    "period": pd.period_range("2013", periods=3, freq="D"),
    "interval": pd.interval_range(0, 3),
    "complex": [1j, 2j, 3j],
    "mixed": pd.Series([1, "a", None], dtype=object),
    "large uint64": np.array([1, 2, 2**63], "uint64"),
    "empty dicts": [{}, {}, {}],
    "objects": [object()] * 3,
    "too large": pd.Series([2**70, 1, 2], dtype=object),
}


@pytest.fixture
def publish(
    mlops: Any, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """Check and publish one day of requests, and return all rows of the table."""
    target = tmp_path / "predictions"
    monkeypatch.setenv("MLOPS_PREDICTIONS", str(target))
    mlops("settings").settings.cache_clear()
    files, rows, score = mlops("files"), mlops("batch.rows"), mlops("batch.score")

    def run(table: pd.DataFrame, day: int, predictions: pd.DataFrame | None = None) -> Any:
        if predictions is None:
            predictions = pd.DataFrame({"probability": 0.5}, table.index)
        columns = mlops("data.delta").check(table, predictions, str(target))
        with files.replacing(rows.ROWS) as folder:
            rows.write([table], folder, 1, table)
        with files.replacing(score.SCORES) as folder:
            mlops("tables").write(predictions, folder / "0.parquet")
        about = {"date": f"2013-01-0{day}", "rows": len(table), "columns": columns}
        files.write_json(rows.ABOUT, about)
        files.write_json(mlops("registry.fetch").ABOUT, {"name": "m", "version": 1})
        mlops("batch.publish").run()
        published = DeltaTable(target).to_pyarrow_dataset().to_table()
        return published.sort_by([("date", "ascending")]).to_pylist()

    yield run
    mlops("settings").settings.cache_clear()


def _kind(mlops: Any, name: str) -> str:
    table = DeltaTable(mlops("settings").settings().predictions)
    return str(arrow.schema(table.schema()).field(name).type)


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_pandas_values_are_published_unchanged(publish: Any, values: Any) -> None:
    table = pd.DataFrame({"x": values})
    values = table["x"].to_list()
    expected = [None if pd.api.types.is_scalar(one) and pd.isna(one) else one for one in values]
    for day in (1, 1):  # the first creates the table, the second replaces the day
        _same([row["x"] for row in publish(table, day)], expected)


def _same(values: list[Any], expected: list[Any]) -> None:
    for one, other in zip(values, expected, strict=True):
        if isinstance(other, dict):  # a struct has all keys in every row
            assert {key: value for key, value in one.items() if value is not None} == other
        elif isinstance(other, pd.Timestamp):
            assert pd.Timestamp(one) == (other if other.tz else other.tz_localize("UTC"))
        else:
            assert one == other


@pytest.mark.parametrize("values", NO_TYPE.values(), ids=NO_TYPE)
def test_a_column_of_an_unsupported_type_is_refused_by_name(
    mlops: Any, tmp_path: Path, values: Any
) -> None:
    with pytest.raises(mlops("errors").Problem, match=r"x: .+") as caught:
        mlops("data.delta").check(pd.DataFrame({"x": values}), [], str(tmp_path))
    assert "\n" not in str(caught.value)


DAYS: dict[str, tuple[Any, Any, str | None]] = {
    "fractions after whole numbers": ([10, 20], [10.75, 20.5], "double"),
    "whole numbers after fractions": ([0.5], [3], "double"),
    "whole numbers, one missing": ([10, 20], [30.0, None], "int64"),
    "larger whole numbers": (np.array([1], "int32"), [2**40], "int64"),
    "longer fractions": (np.array([0.5], "float32"), [0.1], "double"),
    "finer decimals": ([Decimal("1.10")], [Decimal("1234.125")], "decimal128(38, 3)"),
    "nothing, then numbers": ([None, None], [0.5], "double"),
    "numbers, then nothing": ([0.5], [None], "double"),
    "more in a dict": ([{"a": 1}], [{"a": 0.5, "b": "x"}], "struct<a: double, b: string>"),
    "other categories": (pd.Categorical(["a"]), pd.Categorical(["b"]), "string"),
    "text after numbers": ([1], ["1"], None),
    "numbers after text": (["1"], [1], None),
    "numbers after booleans": ([True], [1], None),
    "text after times": (pd.to_datetime([1]), ["1970"], None),
    "a sum that fractions do not hold": ([2**53 + 1], [0.5], None),
}


@pytest.mark.parametrize(("one", "other", "kind"), DAYS.values(), ids=DAYS)
def test_a_day_of_another_type_widens_the_column_or_is_refused(
    mlops: Any, publish: Any, one: Any, other: Any, kind: str | None
) -> None:
    first = publish(pd.DataFrame({"x": one, "y": 1}), 1)
    later = pd.DataFrame({"x": other, "y": 1})
    if kind is None:
        target = mlops("settings").settings().predictions
        with pytest.raises(mlops("errors").Problem, match=r"^x: the table of predictions has"):
            mlops("data.delta").check(later, [], target)
        assert DeltaTable(target).to_pyarrow_dataset().to_table().to_pylist() == first
        return
    _same([row["x"] for row in publish(later, 2)], [*one, *other])
    assert _kind(mlops, "x") == kind


def test_predictions_of_a_new_version_widen_their_column(mlops: Any, publish: Any) -> None:
    requests = pd.DataFrame({"y": [1, 2]})
    publish(requests, 1, pd.DataFrame({"minutes": [10, 20]}))
    rows = publish(requests, 2, pd.DataFrame({"minutes": [10.75, 20.5]}))
    assert [row["minutes"] for row in rows] == [10, 20, 10.75, 20.5]
    with pytest.raises(mlops("errors").Problem, match=r"^minutes: the table of predictions has"):
        publish(requests, 2, pd.DataFrame({"minutes": ["late", "late"]}))
    assert DeltaTable(mlops("settings").settings().predictions).version() == 2


def test_a_text_column_without_values_accepts_numbers(mlops: Any, publish: Any) -> None:
    """Older platforms published columns without values as text."""
    old = {"x": arrow.array([None], "string"), "date": [datetime.date(2013, 1, 1)]}
    target = mlops("settings").settings().predictions
    write_deltalake(target, arrow.table(old), partition_by=["date"])
    assert [row["x"] for row in publish(pd.DataFrame({"x": [0.5]}), 2)] == [None, 0.5]


def test_a_name_that_differs_only_in_case_is_refused(mlops: Any, publish: Any) -> None:
    publish(pd.DataFrame({"Origin": ["JFK"]}), 1)
    with pytest.raises(mlops("errors").Problem, match=r"origin: .* Origin"):
        publish(pd.DataFrame({"origin": ["JFK"]}), 2)


def test_columns_of_the_platform_and_the_team_coexist(mlops: Any, publish: Any) -> None:
    request = {"date": "d", "model_version": "m", "row": 1, "request": 2, "probability": 3, "a": 4}
    rows = publish(pd.DataFrame([request]), 1, pd.DataFrame({"probability": [0.5], "Date": [5]}))
    assert rows == [
        {
            "date": datetime.date(2013, 1, 1),
            "model_version": "1",
            "probability": 0.5,
            "prediction_Date": 5,
            "request_date": "d",
            "request_model_version": "m",
            "row": 1,
            "request": 2,
            "request_probability": 3,
            "a": 4,
        }
    ]
