"""Metrics, curves and baselines."""

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import QuantileRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .model import CATEGORIES, INPUTS, LABEL, ordered
from .schema import QUANTILES

# Exact quantile regression is a linear program whose time grows with the square of the rows.
BASELINE_ROWS = 5_000
BINS = 20


def score(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """Return errors and width in minutes, and shares within, below and above the bounds."""
    label = examples[LABEL]
    below, above = label < predictions["lower"], label > predictions["upper"]
    scores = {
        "mae": sk.mean_absolute_error(label, predictions["minutes"]),
        "rmse": sk.root_mean_squared_error(label, predictions["minutes"]),
        # Mean over the three quantiles; rewards correct quantiles and a narrow interval.
        "pinball": np.mean(
            [
                sk.mean_pinball_loss(label, predictions[name], alpha=level)
                for name, level in QUANTILES.items()
            ]
        ),
        "coverage": 1 - below.mean() - above.mean(),
        "below": below.mean(),
        "above": above.mean(),
        "width": (predictions["upper"] - predictions["lower"]).mean(),
    }
    return {name: float(value) for name, value in scores.items()}


def curves(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return calibration and error curves: x in the first column, y in the second."""
    table = predictions.assign(
        observed=examples[LABEL],
        hour=examples["minute_of_day"] // 60,
        error=(examples[LABEL] - predictions["minutes"]).abs(),
        width=predictions["upper"] - predictions["lower"],
    )
    hours = table.groupby("hour")["error"].mean()
    return {
        "calibration": pd.DataFrame(
            {
                "nominal": QUANTILES.values(),
                "observed": [(table["observed"] <= table[name]).mean() for name in QUANTILES],
            }
        ),
        "predicted_observed": _binned(table, "minutes", "observed", "median"),
        "width_error": _binned(table, "width", "error", "mean"),
        "error_by_hour": hours.rename("mean_absolute_error").reset_index(),
    }


def baselines(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the predictions of three models, including their bounds.

    `constant` predicts the quantiles of all flights; `recent` predicts the airline's mean delay of
    the last hours plus the quantiles of the difference from it; `linear` is a quantile regression.
    """
    median = train[LABEL].median()
    recent = [rows["carrier_delay"].fillna(median).to_numpy() for rows in (train, test)]
    change = train[LABEL] - recent[0]
    predicted = {
        "constant": {
            name: np.full(len(test), train[LABEL].quantile(level))
            for name, level in QUANTILES.items()
        },
        "recent": {name: recent[1] + change.quantile(level) for name, level in QUANTILES.items()},
        "linear": _linear(train.sample(min(len(train), BASELINE_ROWS), random_state=0), test),
    }
    return {name: ordered(quantiles, test.index) for name, quantiles in predicted.items()}


def _linear(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, np.ndarray]:
    numbers = [name for name in INPUTS if name not in CATEGORIES]
    inputs = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["origin", "carrier"]),
        (make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()), numbers),
    )
    return {
        name: make_pipeline(inputs, QuantileRegressor(quantile=level, alpha=0))
        .fit(train[INPUTS], train[LABEL])
        .predict(test[INPUTS])
        for name, level in QUANTILES.items()
    }


def _binned(table: pd.DataFrame, x: str, y: str, statistic: str) -> pd.DataFrame:
    """Return the mean of `x` and the mean or median of `y` in bins with equal numbers of rows."""
    bins = (table[x].rank(method="first", pct=True) * BINS).apply(np.ceil)
    return table.groupby(bins).agg(**{x: (x, "mean"), y: (y, statistic)})
