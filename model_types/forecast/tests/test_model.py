"""The model learns and accepts unusual input, and `mase` is defined as in textbooks."""

import pandas as pd
import pytest

from forecast import metrics, model

PARAMS = model.Params(
    learning_rate=0.3, num_leaves=7, min_data_in_leaf=20, rounds=40, patience=5, seed=1
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """400 hours: ten departures in each hour of one airport, none at the other."""
    table = pd.DataFrame(dict.fromkeys(model.INPUTS, 1.0), index=range(400))
    table["origin"] = ["EWR", "JFK"] * 200
    times = pd.date_range("2013-01-01", periods=400, freq="h", tz="UTC")
    return table.assign(event_timestamp=times, departures=[10, 0] * 200)


def _forecast(rows: pd.DataFrame, departures: object) -> pd.DataFrame:
    return pd.DataFrame({"departures": departures}, index=rows.index)


def test_it_learns_and_never_forecasts_less_than_nothing(rows: pd.DataFrame) -> None:
    predictions = model.predict(model.train(rows, rows, PARAMS), rows)
    assert metrics.score(rows, predictions)["mae"] < 0.1
    assert (predictions["departures"] >= 0).all()


def test_what_it_never_saw_counts_as_missing(rows: pd.DataFrame) -> None:
    fitted = model.train(rows, rows, PARAMS)
    unseen, missing = rows.head(1).assign(origin="ZZZ"), rows.head(1).assign(origin=None)
    assert model.predict(fitted, unseen).equals(model.predict(fitted, missing))


def test_a_row_of_nothing_has_a_forecast(rows: pd.DataFrame) -> None:
    nothing = pd.DataFrame(dict.fromkeys(model.INPUTS), index=[0])
    assert model.predict(model.train(rows, rows, PARAMS), nothing).notna().all(axis=None)


def test_no_rows_give_no_predictions(rows: pd.DataFrame) -> None:
    empty = model.predict(model.train(rows, rows, PARAMS), rows.head(0))
    assert empty.empty
    assert empty.dtypes.to_dict() == {"departures": float}


def test_mase_is_the_share_of_the_naive_error(rows: pd.DataFrame) -> None:
    examples = rows.assign(last_week=rows["departures"] + 4)
    assert metrics.score(examples, _forecast(rows, rows["departures"] - 1))["mase"] == 0.25
    assert metrics.score(examples, _forecast(rows, examples["last_week"]))["mase"] == 1


def test_mase_is_of_the_rows_whose_last_week_is_known(rows: pd.DataFrame) -> None:
    last_week = (rows["departures"] + 4).where(rows.index < 200)
    forecast = _forecast(rows, rows["departures"] + (rows.index >= 200) * 9 + 1)
    assert metrics.score(rows.assign(last_week=last_week), forecast)["mase"] == 0.25
    unknown = rows.assign(last_week=float("nan"))
    assert "mase" not in metrics.score(unknown, forecast)
    assert "mase" not in metrics.score(rows.assign(last_week=rows["departures"]), forecast)


def test_a_week_shows_each_hour_once_by_its_earliest_forecast(rows: pd.DataFrame) -> None:
    origins = rows.assign(horizon=1)
    examples = pd.concat([origins, origins.assign(horizon=24)], ignore_index=True)
    week = metrics.curves(examples, _forecast(examples, examples["horizon"]))["week"]
    assert week["hour"].tolist() == list(range(7 * 24))
    assert (week["predicted"] == 24).all()
