"""The model finds and explains unusual hours, and accepts unusual input."""

import numpy as np
import pandas as pd
import pytest

from anomaly import metrics, model

PARAMS = model.Params(
    alerts_per_day=2,
    learning_rate=0.1,
    num_leaves=7,
    min_data_in_leaf=20,
    rounds=50,
    patience=50,
    seed=1,
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """100 days of an airport whose flights wait every evening, and all day on every tenth day."""
    ends = pd.date_range("2013-01-01 05:00", periods=2_400, freq="h", tz="UTC") + pd.Timedelta("1h")
    table = pd.DataFrame({"event_timestamp": ends, "origin": "JFK", "weekday": 0, "scheduled": 9})
    table["hour"], day = np.arange(2_400) % 24, np.arange(2_400) // 24
    table["storm"] = day % 10 == 9
    table["waiting"] = np.where(table["hour"] >= 18, 8.0, 1.0) + 6 * table["storm"]
    delay = 2 * table["waiting"] + np.random.default_rng(0).random(2_400)
    return table.assign(cancelled_share=0.0, departure_delay=delay)


@pytest.fixture(scope="module")
def fitted(rows: pd.DataFrame) -> model.Model:
    return model.train(rows, rows, PARAMS)


def test_it_finds_the_storms_and_not_the_evenings(rows: pd.DataFrame, fitted: model.Model) -> None:
    scores = metrics.score(rows, model.predict(fitted, rows))
    assert scores["average_precision"] > 0.95
    evenings = metrics.score(rows, rows.assign(score=rows["waiting"], alert=False))
    assert evenings["average_precision"] < 0.8


def test_training_does_not_read_the_label(rows: pd.DataFrame, fitted: model.Model) -> None:
    blind = rows.drop(columns="storm")
    again = model.train(blind, blind, PARAMS)
    pd.testing.assert_frame_equal(
        model.predict(again, rows), model.predict(fitted, rows), check_exact=True
    )


def test_the_threshold_keeps_the_budget(rows: pd.DataFrame, fitted: model.Model) -> None:
    assert metrics.score(rows, model.predict(fitted, rows))["alerts_per_day"] == pytest.approx(2)


def test_contributions_add_up_to_the_score(rows: pd.DataFrame, fitted: model.Model) -> None:
    some = rows.copy()
    some.loc[::3, "departure_delay"] = np.nan
    parts = model.explain(fitted, some)
    np.testing.assert_allclose(parts.sum(axis=1), model.predict(fitted, some)["score"], atol=1e-9)
    assert parts["waiting"][some["storm"]].min() > parts["waiting"][~some["storm"]].min() + 2


def test_what_it_never_saw_counts_as_missing(rows: pd.DataFrame, fitted: model.Model) -> None:
    unseen, missing = rows.head(1).assign(origin="ZZZ"), rows.head(1).assign(origin=None)
    assert model.predict(fitted, unseen).equals(model.predict(fitted, missing))
    assert model.predict(fitted, rows.head(1).assign(hour=None))["score"].notna().all()
    unknown = rows.head(1).assign(**dict.fromkeys(model.MEASURES))
    assert model.predict(fitted, unknown)["score"].tolist() == [0]
    assert not model.explain(fitted, unknown).to_numpy().any()


def test_no_rows_give_no_predictions(rows: pd.DataFrame, fitted: model.Model) -> None:
    none, some = (model.predict(fitted, rows.head(count)) for count in (0, 1))
    assert none.empty
    assert none.dtypes.equals(some.dtypes)
    assert list(model.explain(fitted, rows.head(0))) == model.INPUTS


def test_days_without_storms_have_no_ranking(rows: pd.DataFrame, fitted: model.Model) -> None:
    calm = rows[~rows["storm"]]
    scores = metrics.score(calm, model.predict(fitted, calm))
    assert "average_precision" not in scores
    assert "alerts_per_day" in scores
