"""Predictions of single rows equal those of a table, also with concurrent callers."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

lgb: Any = pytest.importorskip("lightgbm", reason="the model does not use LightGBM")

WIDTH = 6


def _booster(objective: str, classes: int = 1) -> Any:
    random = np.random.default_rng(0)
    rows = random.normal(size=(2_000, WIDTH))
    rows[random.random(rows.shape) < 0.1] = np.nan
    rows[:, 0] = random.integers(0, 9, len(rows))
    label = np.nan_to_num(rows).sum(axis=1)
    label = np.digitize(label, (0, 3)) if classes > 1 else label
    label = label > 0 if objective == "binary" else label
    params = {"objective": objective, "num_class": classes, "verbosity": -1, "num_threads": 1}
    return lgb.train(params, lgb.Dataset(rows, label, categorical_feature=[0]), 50)


@pytest.mark.parametrize("objective", ["binary", "regression", "quantile", "l1"])
def test_single_row_predictions_equal_a_tables_bit_for_bit(mlops: Any, objective: str) -> None:
    booster = _booster(objective)
    rows = np.random.default_rng(1).normal(size=(2_000, WIDTH)) * 2
    rows[::3, 1], rows[::5, 0] = np.nan, 4
    predict = mlops("single_row").predictor(booster)
    expected = booster.predict(rows).tolist()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(predict, rows)) == expected
    missing = [None if value != value else value for value in rows[0].tolist()]
    assert predict(missing) == expected[0]
    assert len({*expected}) > 1_000


def test_reading_beyond_a_row_is_refused(mlops: Any) -> None:
    predict = mlops("single_row").predictor(_booster("binary"))
    for width in (0, WIDTH - 1, WIDTH + 1):
        with pytest.raises(
            ValueError, match=f"the row has {width} numbers, but the booster has 6 "
        ):
            predict([0.5] * width)
    with pytest.raises(ValueError, match="more than one number per row"):
        mlops("single_row").predictor(_booster("multiclass", 3))


def test_a_lightgbm_without_the_private_functions_predicts_tables(
    mlops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract, booster = mlops("contract"), SimpleNamespace()  # without LightGBM's private names
    with pytest.raises(NotImplementedError):
        mlops("single_row").predictor(booster)
    team = SimpleNamespace(row_predictor=mlops("single_row").predictor)
    monkeypatch.setattr(contract, "model", lambda: team)
    assert contract.row_predictor(booster) is None
