"""Metrics, curves and baselines: hourly scores compared with the days of known storms.

`average_precision`, `precision_at_k` and `alert_precision` count hours of an airport; an hour is a
hit if it falls on a day with a known storm. `storm_days_found` and `alerts_per_day` count whole
days in New York's time zone. The hours before a storm arrives count as storm hours too, so an
average precision of 1 is out of reach. Four random alerts a day would also find most storm days:
only the bounds on the precisions tell a model from chance.
"""

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from .features import local_hour
from .model import threshold

LABEL = "storm"
TOP = 100
POINTS = 500
DAYS = 24
# Alert budget of the baselines; the model's own is in params.yaml.
ALERTS_PER_DAY = 4.0


def score(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the metrics by name; those that need both classes only if the rows have both."""
    storm, alert, day = examples[LABEL], predictions["alert"], local_hour(examples).dt.date
    scores = {
        "alerts_per_day": alert.sum() / day.nunique(),
        "storm_share": storm.mean(),
    }
    if alert.any():
        scores["alert_precision"] = storm[alert].mean()
    if storm.nunique() == 2:
        scores["average_precision"] = sk.average_precision_score(storm, predictions["score"])
        scores["precision_at_k"] = _by_score(storm, predictions["score"])[:TOP].mean()
        scores["storm_days_found"] = day[storm & alert].nunique() / day[storm].nunique()
    return {name: float(value) for name, value in scores.items()}


def curves(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return precision by k, the highest score of each day, and the days with the most alerts."""
    hits = _by_score(examples[LABEL], predictions["score"])[:POINTS]
    k = np.arange(1, len(hits) + 1)
    day = local_hour(examples).dt.normalize()
    highest = predictions["score"].groupby(day.dt.dayofyear).max()
    storm = examples[LABEL].map({True: " storm", False: ""})
    alerts = predictions["alert"].groupby(day.dt.strftime("%d %b") + storm).sum()
    most = alerts.sort_values(ascending=False, kind="stable").head(DAYS)
    return {
        "precision_by_k": pd.DataFrame({"k": k, "precision": hits.cumsum() / k}),
        "score_by_day": highest.rename_axis("day_of_year").rename("highest_score").reset_index(),
        "alerts_by_day": most.rename_axis("day").rename("alerts").reset_index(),
    }


def baselines(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the predictions of two rules: standardized mean delay, and share of cancellations."""
    statistics = train.groupby("origin")["departure_delay"].agg(["mean", "std"])

    def delay(rows: pd.DataFrame) -> pd.Series:
        mean, std = (rows["origin"].map(statistics[name]) for name in ("mean", "std"))
        return (rows["departure_delay"] - mean) / std

    def cancellations(rows: pd.DataFrame) -> pd.Series:
        return rows["cancelled_share"]

    predictions = {}
    for name, rule in {"delay": delay, "cancellations": cancellations}.items():
        bound = threshold(rule(train).fillna(0), train, ALERTS_PER_DAY)
        value = rule(test).fillna(0)
        predictions[name] = pd.DataFrame({"score": value, "alert": value > bound})
    return predictions


def _by_score(storm: pd.Series, score: pd.Series) -> np.ndarray:
    order = score.sort_values(ascending=False, kind="stable").index
    return storm.loc[order].to_numpy()
