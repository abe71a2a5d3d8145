"""The model learns, and accepts unusual input."""

import pandas as pd
import pytest

from classification import metrics, model

PARAMS = model.Params(
    learning_rate=0.1, num_leaves=7, min_data_in_leaf=20, rounds=10, patience=5, seed=1
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """400 flights of two airlines; all flights of one are late."""
    table = pd.DataFrame(dict.fromkeys(model.INPUTS, 1.0), index=range(400))
    table["origin"], table["dest"] = "JFK", "SFO"
    table["carrier"] = ["AA", "B6"] * 200
    return table.assign(late=table["carrier"] == "B6")


def test_it_learns(rows: pd.DataFrame) -> None:
    predictions = model.predict(model.train(rows, rows, PARAMS), rows)
    assert metrics.score(rows, predictions)["roc_auc"] == 1


def test_what_it_never_saw_counts_as_missing(rows: pd.DataFrame) -> None:
    fitted = model.train(rows, rows, PARAMS)
    unseen, missing = rows.head(1).assign(carrier="ZZ"), rows.head(1).assign(carrier=None)
    assert model.predict(fitted, unseen).equals(model.predict(fitted, missing))


def test_no_rows_give_no_predictions(rows: pd.DataFrame) -> None:
    assert model.predict(model.train(rows, rows, PARAMS), rows.head(0)).empty


def test_one_class_has_no_ranking(rows: pd.DataFrame) -> None:
    late = rows[rows["late"]]
    assert "roc_auc" not in metrics.score(late, pd.DataFrame({"probability": 0.5}, late.index))
