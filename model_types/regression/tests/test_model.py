"""The model learns, accepts unusual input, and its bounds have the promised coverage."""

import numpy as np
import pandas as pd
import pytest

from regression import metrics, model, schema

PARAMS = model.Params(
    learning_rate=0.2, num_leaves=7, min_data_in_leaf=20, rounds=60, patience=60, seed=1
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """2,000 flights; those of B6 are 30 minutes later, and their delays vary more."""
    table = pd.DataFrame(dict.fromkeys(model.INPUTS, 1.0), index=range(2_000))
    table["origin"], table["dest"] = "JFK", "SFO"
    table["carrier"] = ["AA", "B6"] * 1_000
    noise = np.random.default_rng(0).exponential(10, len(table))
    late = table["carrier"] == "B6"
    return table.assign(arr_delay=np.where(late, 30 + 3 * noise, noise))


@pytest.fixture(scope="module")
def fitted(rows: pd.DataFrame) -> model.Boosters:
    return model.train(rows, rows, PARAMS)


def test_it_learns_the_median_and_the_spread(rows: pd.DataFrame, fitted: model.Boosters) -> None:
    predictions = model.predict(fitted, rows)
    actual = predictions.groupby(rows["carrier"]).first()
    for name, level in schema.QUANTILES.items():
        expected = rows.groupby("carrier")["arr_delay"].quantile(level)
        np.testing.assert_allclose(actual[name], expected, atol=1)
    assert metrics.score(rows, predictions)["coverage"] == pytest.approx(0.8, abs=0.02)


def test_one_flight_a_week_late_moves_no_other(rows: pd.DataFrame, fitted: model.Boosters) -> None:
    """The tail is heavy: the mean would move by ten minutes."""
    one = rows.assign(arr_delay=rows["arr_delay"].where(rows.index > 0, 7 * 24 * 60))
    again = model.predict(model.train(one, one, PARAMS), rows)
    assert (again - model.predict(fitted, rows)).abs().to_numpy().max() < 1


def test_quantiles_that_cross_are_put_in_order(rows: pd.DataFrame, fitted: model.Boosters) -> None:
    crossed = {**fitted, "lower": fitted["upper"], "upper": fitted["lower"]}
    predictions = model.predict(crossed, rows)
    schema.Predictions.validate(predictions)
    assert predictions["minutes"].equals(model.predict(fitted, rows)["minutes"])
    with pytest.raises(Exception, match="in_order"):
        schema.Predictions.validate(predictions.assign(upper=predictions["lower"] - 1))


def test_contributions_are_minutes_of_the_median(
    rows: pd.DataFrame, fitted: model.Boosters
) -> None:
    contributions = model.explain(fitted, rows).sum(axis=1)
    rest = model.predict(fitted, rows)["minutes"] - contributions
    np.testing.assert_allclose(rest, rest.iloc[0], atol=1e-6)
    assert model.explain(fitted, rows.head(0)).columns.to_list() == model.INPUTS


@pytest.mark.parametrize("column", model.INPUTS)
def test_what_it_never_saw_counts_as_missing(
    rows: pd.DataFrame, fitted: model.Boosters, column: str
) -> None:
    missing = model.predict(fitted, rows.head(1).assign(**{column: None}))
    assert np.isfinite(missing.to_numpy()).all()
    if column in model.CATEGORIES:
        unseen = rows.head(1).assign(**{column: "ZZ"})
        assert model.predict(fitted, unseen).equals(missing)


def test_no_rows_give_no_predictions(rows: pd.DataFrame, fitted: model.Boosters) -> None:
    none = model.predict(fitted, rows.head(0))
    assert none.empty
    assert none.dtypes.equals(model.predict(fitted, rows).dtypes)


def test_baselines_give_bounds_that_hold(rows: pd.DataFrame) -> None:
    for name, predictions in metrics.baselines(rows, rows).items():
        schema.Predictions.validate(predictions)
        scores = metrics.score(rows, predictions)
        assert scores["coverage"] == pytest.approx(0.8, abs=0.05), name


def test_scores_are_counted_by_hand() -> None:
    examples = pd.DataFrame({"arr_delay": [0.0, 10.0, 50.0, -20.0]})
    predictions = pd.DataFrame({"lower": -10.0, "minutes": 0.0, "upper": 20.0}, examples.index)
    scores = metrics.score(examples, predictions)
    assert (scores["mae"], scores["width"]) == (20, 30)
    assert (scores["coverage"], scores["below"], scores["above"]) == (0.5, 0.25, 0.25)
    # Lower: errors of 10, 20 and 60 above it weigh 0.1, 10 below it weighs 0.9; upper: reversed.
    assert scores["pinball"] == pytest.approx(np.mean([18 / 4, 20 / 2, (7 + 27) / 4]))
