"""How good alerts are, and better than what: scores by hour, held against the days of storms.

`average_precision`, `precision_at_k` and `alert_precision` count hours of an airport; an hour is
right when its day is one of a known storm. `storm_days_found` and `alerts_per_day` count whole
days, on New York's calendar. An hour before the storm comes is a storm's too, so an average
precision of 1 is out of reach. Random alerts, four a day, find most storm days as well: the gate
that tells a model from chance is that of the precisions.
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
# What the baselines may alert by; the model's own budget stands in params.yaml.
ALERTS_PER_DAY = 4.0


def score(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """Give the metrics; rows without a storm, or of nothing else, have none that needs both."""
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
    """Give precision by k, the highest score of each day of the year, the days of most alerts."""
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
    """Give the mean delay in standard deviations of its airport, and the share of cancellations."""
    usual = train.groupby("origin")["departure_delay"].agg(["mean", "std"])

    def delay(rows: pd.DataFrame) -> pd.Series:
        mean, std = (rows["origin"].map(usual[name]) for name in ("mean", "std"))
        return (rows["departure_delay"] - mean) / std

    def cancellations(rows: pd.DataFrame) -> pd.Series:
        return rows["cancelled_share"]

    found = {}
    for name, rule in {"delay": delay, "cancellations": cancellations}.items():
        bound = threshold(rule(train).fillna(0), train, ALERTS_PER_DAY)
        value = rule(test).fillna(0)
        found[name] = pd.DataFrame({"score": value, "alert": value > bound})
    return found


def _by_score(storm: pd.Series, score: pd.Series) -> np.ndarray:
    order = score.sort_values(ascending=False, kind="stable").index
    return storm.loc[order].to_numpy()
