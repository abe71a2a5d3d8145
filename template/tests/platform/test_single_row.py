"""LightGBM's way for one row gives what a table gives, whoever asks at the same time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

lgb: Any = pytest.importorskip("lightgbm", reason="the model is none of LightGBM's")

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
def test_one_row_has_the_bits_that_a_table_has(mlops: Any, objective: str) -> None:
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


def test_what_would_read_beyond_a_row_is_refused(mlops: Any) -> None:
    predict = mlops("single_row").predictor(_booster("binary"))
    for width in (0, WIDTH - 1, WIDTH + 1):
        with pytest.raises(ValueError, match=f"a row of {width} numbers, and the booster has 6"):
            predict([0.5] * width)
    with pytest.raises(ValueError, match="more than one number a row"):
        mlops("single_row").predictor(_booster("multiclass", 3))
