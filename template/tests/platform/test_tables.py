"""Tables at the boundaries: names, times, numbers; and predictions of groups of rows."""

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
def test_times_of_any_type_are_converted_to_utc(mlops: Any, times: pd.Series) -> None:
    table = pd.DataFrame({"event_timestamp": times}).set_axis([7])
    rows = mlops("tables").taken(table, "features.build: x", timed=True)
    assert rows["event_timestamp"].tolist() == [MOMENT]
    assert str(rows["event_timestamp"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("times", [[1_357_355_045], [1.5], ["soon"], ["01/02/2013"], [True]])
def test_values_that_are_not_times_are_reported(mlops: Any, times: list[Any]) -> None:
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
    column = mlops("tables").check(pd.DataFrame({"when": TIMES[times]}), schema, "x")["when"]
    assert mlops("tables").utc(column).tolist() == [MOMENT]
    if declared := schema.to_schema().columns["when"].dtype:
        assert column.dtype == declared.type


class Numbers(pa.DataFrameModel):
    whole: Series[int]
    perhaps: Series[pd.Int64Dtype] = pa.Field(nullable=True)
    yes: Series[bool]

    class Config:
        coerce = True


def test_numbers_are_converted_to_the_schemas_types_only_if_lossless(mlops: Any) -> None:
    table = pd.DataFrame({"whole": [1.0, 2.0], "perhaps": [1.0, None], "yes": [1, 0]})
    checked = mlops("tables").check(table, Numbers, "x")
    assert checked.dtypes.astype(str).tolist() == ["int64", "Int64", "bool"]
    for name, value in {"whole": 10.75, "perhaps": 0.5, "yes": 2, "other": None}.items():
        if value:
            with pytest.raises(mlops("errors").Problem, match=f"\n  {name}: "):
                mlops("tables").check(table.assign(**{name: value}), Numbers, "x")
    decimals = table.assign(whole=pd.Series([Decimal("10.75"), Decimal(2)]))
    with pytest.raises(mlops("errors").Problem, match="whole: 1 values do not fit int64"):
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


@pytest.mark.parametrize(("names", "message"), BAD_NAMES.values(), ids=BAD_NAMES)
def test_column_names_must_be_unique_strings(mlops: Any, names: Any, message: str) -> None:
    table = pd.DataFrame([[1, 2]])
    table.columns = names
    with pytest.raises(mlops("errors").Problem, match=f"^x: .*{message}"):
        mlops("tables").taken(table, "x")
    with pytest.raises(mlops("errors").Problem, match=f"^x: .*{message}"):
        mlops("tables").check(table, Undeclared, "x")


@pytest.mark.parametrize(
    "index", [[3, 3], pd.MultiIndex.from_tuples([("a", 1), ("a", 1)]), ["b", "a"], [1.5, None]]
)
def test_only_the_bad_rows_are_shown_whatever_the_index(mlops: Any, index: Any) -> None:
    table = pd.DataFrame({"name": ["right", None]}, index=index)
    with pytest.raises(mlops("errors").Problem, match="the first 1 of 1 rows") as caught:
        mlops("tables").check(table, Names, "x")
    assert "right" not in str(caught.value)


def test_a_reference_separates_predictions_and_examples_with_similar_names(mlops: Any) -> None:
    examples = pd.DataFrame(
        [{"prediction_x": 1, "example_prediction_x": 2, "x": 3, "example_y": 4}]
    )
    predictions = pd.DataFrame([{"x": 5, "prediction_x": 6}])
    kept = mlops("registry.reference").beside(examples, predictions)
    parts = mlops("registry.reference").split(kept)
    pd.testing.assert_frame_equal(parts[0], examples)
    pd.testing.assert_frame_equal(parts[1], predictions)
    assert {"x", "example_y", "prediction_x"} < {*kept}, "as in older releases"


class Echo:
    """A model that returns its input."""

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
    predict = mlops("registry.predict")
    _model(predict, tmp_path, monkeypatch, [one, other])
    predict.main(tmp_path, tmp_path / "rows", tmp_path / "out")
    values = pd.read_parquet(tmp_path / "out")["x"].to_list()
    assert values == (expected or [*one, *other])


def test_predictions_of_other_rows_are_refused(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = mlops("registry.predict")
    _model(predict, tmp_path, monkeypatch, [[1, 2]])
    monkeypatch.setattr(Echo, "predict", lambda _, rows: rows.iloc[::-1])
    with pytest.raises(ValueError, match="returned 2 rows for 2, with another index"):
        predict.main(tmp_path, tmp_path / "rows", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _model(predict: Any, folder: Path, patch: pytest.MonkeyPatch, groups: list[Any]) -> None:
    flavor = {"code": "code", "loader_module": "a_model", "data": "data"}
    (folder / "MLmodel").write_text(json.dumps({"flavors": {"python_function": flavor}}))
    module: Any = SimpleNamespace(_load_pyfunc=lambda _: Echo())
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
    """Through MLflow's PyFuncModel, which checks the rows against the signature."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.models import Model
        from mlflow.pyfunc import PyFuncModel
    received: list[pd.DataFrame] = []

    def predict(_: Any, rows: pd.DataFrame) -> pd.DataFrame:
        received.append(rows)
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
    model = mlops("registry.pyfunc").Model(workspace)
    metadata = Model(signature=mlops("training.register")._signature())
    loaded = PyFuncModel(metadata, model)
    for table in (rows, rows.iloc[[0]], rows.iloc[[1]], rows.astype({"perhaps": float})):
        predictions: Any = loaded.predict(table)
        assert predictions["probability"].to_list() == [0.5] * len(table)
        Inputs.validate(received[-1])
        assert received[-1].index.equals(table.index)


def test_a_column_that_arrow_cannot_read_back_is_reported(mlops: Any) -> None:
    table = pd.DataFrame({"whole": range(9), "bins": pd.cut(range(9), 3)})
    with pytest.raises(mlops("errors").Problem, match=r"^examples: bins: .*astype\(str\)$"):
        mlops("tables").stored(table, "examples")
