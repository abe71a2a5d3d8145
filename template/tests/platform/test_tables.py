"""Tables at the borders: names, times, numbers; and what the table of predictions takes."""

import json
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pytest
from pandera.typing.pandas import Series

MOMENT = pd.Timestamp("2013-01-05T03:04:05.678901Z")
NEW_YORK = "America/New_York"

TIMES = {
    "ns": pd.Series([MOMENT]).dt.as_unit("ns"),
    "us": pd.Series([MOMENT]).dt.as_unit("us"),
    "naive": pd.Series([MOMENT]).dt.tz_localize(None),
    "zoned": pd.Series([MOMENT]).dt.tz_convert(NEW_YORK),
    "below microseconds": pd.Series([MOMENT]).dt.as_unit("ns") + pd.Timedelta(123, "ns"),
    "objects": pd.Series([MOMENT.to_pydatetime()], dtype=object),
    "text": pd.Series(["2013-01-05T04:04:05.678901+01:00"]),
    "text without a zone": pd.Series(["2013-01-05 03:04:05.678901"], dtype="string"),
    "arrow": pd.Series([MOMENT], dtype=pd.ArrowDtype(arrow.timestamp("us", "UTC"))),
}


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
def test_times_are_brought_to_utc_whatever_they_come_as(mlops: Any, times: pd.Series) -> None:
    table = pd.DataFrame({"event_timestamp": times}).set_axis([7])
    found = mlops("tables").taken(table, "features.build: x", timed=True)
    assert found["event_timestamp"].tolist() == [MOMENT]
    assert str(found["event_timestamp"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("times", [[1_357_355_045], [1.5], ["soon"], ["01/02/2013"], [True]])
def test_what_is_no_time_is_one_line(mlops: Any, times: list[Any]) -> None:
    table = pd.DataFrame({"event_timestamp": times})
    with pytest.raises(mlops("errors").Problem, match=r"^features.build: x: event_timestamp: .+$"):
        mlops("tables").taken(table, "features.build: x", timed=True)


class Nanoseconds(pa.DataFrameModel):
    when: Series[Annotated[pd.DatetimeTZDtype, "ns", "UTC"]]


class Microseconds(pa.DataFrameModel):
    when: Series[Annotated[pd.DatetimeTZDtype, "us", "UTC"]]


class Naive(pa.DataFrameModel):
    when: Series[pd.Timestamp]


class Undeclared(pa.DataFrameModel):
    when: Series[Any]


@pytest.mark.parametrize("schema", [Nanoseconds, Microseconds, Naive, Undeclared])
@pytest.mark.parametrize("times", ["ns", "us", "naive", "zoned", "objects", "text"])
def test_a_schema_may_declare_any_unit_or_none(mlops: Any, schema: Any, times: str) -> None:
    found = mlops("tables").check(pd.DataFrame({"when": TIMES[times]}), schema, "x")["when"]
    assert mlops("tables").utc(found).tolist() == [MOMENT]
    if declared := schema.to_schema().columns["when"].dtype:
        assert found.dtype == declared.type


class Numbers(pa.DataFrameModel):
    whole: Series[int]
    perhaps: Series[pd.Int64Dtype] = pa.Field(nullable=True)
    yes: Series[bool]

    class Config:
        coerce = True


def test_numbers_are_brought_to_the_schemas_types_only_as_they_are(mlops: Any) -> None:
    table = pd.DataFrame({"whole": [1.0, 2.0], "perhaps": [1.0, None], "yes": [1, 0]})
    found = mlops("tables").check(table, Numbers, "x")
    assert found.dtypes.astype(str).tolist() == ["int64", "Int64", "bool"]
    for name, value in {"whole": 10.75, "perhaps": 0.5, "yes": 2, "other": None}.items():
        if value:
            with pytest.raises(mlops("errors").Problem, match=f"\n  {name}: "):
                mlops("tables").check(table.assign(**{name: value}), Numbers, "x")
    decimals = table.assign(whole=pd.Series([Decimal("10.75"), Decimal(2)]))
    with pytest.raises(mlops("errors").Problem, match="whole: 1 values are no int64"):
        mlops("tables").check(decimals, Numbers, "x")


class Names(pa.DataFrameModel):
    name: Series[str]


BAD_NAMES = {
    "twice": (["a", "a"], "two columns are named a"),
    "a number": ([0, "a"], "a column is named 0"),
    "nothing": ([None, "a"], "a column is named None"),
    "empty": ([" ", "a"], "a column is named ' '"),
    "pairs": ([("a", "b"), "c"], "a column is named"),
}


@pytest.mark.parametrize(("names", "said"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_columns_have_texts_of_their_own_as_names(mlops: Any, names: Any, said: str) -> None:
    table = pd.DataFrame([[1, 2]])
    table.columns = names
    with pytest.raises(mlops("errors").Problem, match=f"^x: .*{said}"):
        mlops("tables").taken(table, "x")
    with pytest.raises(mlops("errors").Problem, match=f"^x: .*{said}"):
        mlops("tables").check(table, Undeclared, "x")


@pytest.mark.parametrize(
    "index", [[3, 3], pd.MultiIndex.from_tuples([("a", 1), ("a", 1)]), ["b", "a"], [1.5, None]]
)
def test_only_the_bad_rows_are_shown_whatever_the_index(mlops: Any, index: Any) -> None:
    table = pd.DataFrame({"name": ["right", None]}, index=index)
    with pytest.raises(mlops("errors").Problem, match="the first 1 of 1 rows") as caught:
        mlops("tables").check(table, Names, "x")
    assert "right" not in str(caught.value)


def test_a_reference_tells_predictions_from_examples_of_such_names(mlops: Any) -> None:
    examples = pd.DataFrame(
        [{"prediction_x": 1, "example_prediction_x": 2, "x": 3, "example_y": 4}]
    )
    predictions = pd.DataFrame([{"x": 5, "prediction_x": 6}])
    kept = mlops("reference").beside(examples, predictions)
    found = mlops("reference").split(kept)
    pd.testing.assert_frame_equal(found[0], examples)
    pd.testing.assert_frame_equal(found[1], predictions)
    assert {"x", "example_y", "prediction_x"} < {*kept}, "as ever"


class Saying:
    """A model that says of each group what stands in it."""

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows


GROUPS = {
    "fractions after whole numbers": ([1, 2], [0.5], [1, 2, 0.5]),
    "nothing, then text": ([None], ["a"], [None, "a"]),
    "categories": (pd.Categorical(["a"]), pd.Categorical([f"{n}" for n in range(200)]), None),
}


@pytest.mark.parametrize(("one", "other", "expected"), GROUPS.values(), ids=GROUPS)
def test_groups_of_rows_may_have_predictions_of_other_types(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: Any, other: Any, expected: Any
) -> None:
    predict = mlops("predict")
    _model(predict, tmp_path, monkeypatch, [one, other])
    predict.main(tmp_path, tmp_path / "rows", tmp_path / "out")
    found = pd.read_parquet(tmp_path / "out")["x"].to_list()
    assert found == (expected or [*one, *other])


def test_predictions_of_other_rows_are_refused(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = mlops("predict")
    _model(predict, tmp_path, monkeypatch, [[1, 2]])
    monkeypatch.setattr(Saying, "predict", lambda _, rows: rows.iloc[::-1])
    with pytest.raises(ValueError, match="gave 2 rows of another index for 2"):
        predict.main(tmp_path, tmp_path / "rows", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _model(predict: Any, folder: Path, patch: pytest.MonkeyPatch, groups: list[Any]) -> None:
    flavor = {"code": "code", "loader_module": "a_model", "data": "data"}
    (folder / "MLmodel").write_text(json.dumps({"flavors": {"python_function": flavor}}))
    module: Any = SimpleNamespace(_load_pyfunc=lambda _: Saying())
    patch.setitem(sys.modules, "a_model", module)
    patch.setattr(predict, "groups", lambda _: (pd.DataFrame({"x": each}) for each in groups))
    patch.setattr(sys, "path", [*sys.path])


class Inputs(pa.DataFrameModel):
    whole: Series[int]
    perhaps: Series[pd.Int64Dtype] = pa.Field(nullable=True)
    number: Series[float] = pa.Field(nullable=True)
    word: Series[str] = pa.Field(nullable=True)
    yes: Series[pd.BooleanDtype] = pa.Field(nullable=True)
    kind: Series[Annotated[pd.CategoricalDtype, ["a", "b"], False]]
    when: Series[Annotated[pd.DatetimeTZDtype, "us", "UTC"]]
    short: Series[np.int8]


def test_a_registered_model_takes_what_the_schema_allows(
    mlops: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By MLflow's own way to call it, which holds the rows against the signature."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.models import Model
        from mlflow.pyfunc import PyFuncModel
    seen: list[pd.DataFrame] = []

    def predict(_: Any, rows: pd.DataFrame) -> pd.DataFrame:
        seen.append(rows)
        return pd.DataFrame({"probability": 0.5}, index=rows.index)

    schema = SimpleNamespace(Features=Inputs, Predictions=mlops("contract").schema().Predictions)
    team = SimpleNamespace(load=lambda _: None, predict=predict)
    monkeypatch.setattr(mlops("contract"), "schema", lambda: schema)
    monkeypatch.setattr(mlops("contract"), "model", lambda: team)
    rows = pd.DataFrame(
        {
            "whole": [1, 2],
            "perhaps": pd.array([1, None], "Int64"),
            "number": [0.5, None],
            "word": ["a", None],
            "yes": pd.array([True, None], "boolean"),
            "kind": pd.Categorical(["a", "b"]),
            "when": pd.to_datetime([1, 2], utc=True),
            "short": np.array([1, 2], "int8"),
        }
    )
    model = mlops("pyfunc").Model(workspace)
    metadata = Model(signature=mlops("register")._signature())
    loaded = PyFuncModel(metadata, model)
    for given in (rows, rows.iloc[[0]], rows.iloc[[1]], rows.astype({"perhaps": float})):
        found: Any = loaded.predict(given)
        assert found["probability"].to_list() == [0.5] * len(given)
        Inputs.validate(seen[-1])
        assert seen[-1].index.equals(given.index)


def test_a_column_that_arrow_cannot_give_back_is_named(mlops: Any) -> None:
    table = pd.DataFrame({"whole": range(9), "bins": pd.cut(range(9), 3)})
    with pytest.raises(mlops("errors").Problem, match=r"^examples: bins: .*astype\(str\)$"):
        mlops("tables").stored(table, "examples")
