"""Metrics, curves and baselines."""

import pandas as pd

from .model import LABEL

NAIVE = "last_week"
PROFILE = ["origin", "weekday", "hour"]


def score(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the errors in departures per hour, and `mase`: the error relative to a naive forecast.

    The seasonal naive forecast is the count of the same hour a week before. `mase` uses only rows
    for which it is known, and is omitted if there are none or the naive forecast is never wrong.
    """
    error = predictions["departures"] - examples[LABEL]
    scores = {
        "mae": error.abs().mean(),
        "rmse": (error**2).mean() ** 0.5,
        "bias": error.mean(),
    }
    naive = (examples[NAIVE] - examples[LABEL]).abs().dropna()
    if naive.sum() > 0:
        scores["mase"] = error[naive.index].abs().sum() / naive.sum()
    return {name: float(value) for name, value in scores.items()}


def curves(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the error by horizon, the mean day and a week: x first, then the lines."""
    table = examples.assign(predicted=predictions["departures"], actual=examples[LABEL])
    errors = table.assign(
        model=(table["predicted"] - table["actual"]).abs(),
        naive=(table[NAIVE] - table["actual"]).abs(),
    )
    return {
        "error_by_horizon": errors.groupby("horizon")[["model", "naive"]].mean().reset_index(),
        "day": table.groupby("hour")[["predicted", "actual"]].mean().reset_index(),
        "week": _week(table),
    }


def baselines(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return last week's count, the mean of the hour of the week, and the scheduled count."""
    mean = train[LABEL].mean()
    profile = train.groupby(PROFILE)[LABEL].mean()
    hour_of_week = pd.MultiIndex.from_frame(test[PROFILE])
    predicted = {
        "last_week": test[NAIVE].fillna(mean),
        "profile": profile.reindex(hour_of_week).fillna(mean).to_numpy(),
        "timetable": test["scheduled"].astype(float),
    }
    return {
        name: pd.DataFrame({"departures": values}, index=test.index)
        for name, values in predicted.items()
    }


def _week(table: pd.DataFrame) -> pd.DataFrame:
    """Return the last seven days over all airports, each hour by its earliest forecast."""
    end = table["event_timestamp"] + pd.to_timedelta(table["horizon"], unit="h")
    sums = table.groupby([end.rename("end"), "horizon"])[["predicted", "actual"]].sum()
    hours = sums.groupby("end").tail(1).reset_index("horizon", drop=True)
    last = hours.index > hours.index.max() - pd.Timedelta(days=7)
    week = pd.DataFrame(hours[last].reset_index(drop=True))
    return week.rename_axis("hour").reset_index()
