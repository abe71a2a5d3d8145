"""One metric, which every kind of prediction has."""

import pandas as pd


def score(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the share of predictions that are there."""
    return {"answered": float(predictions.iloc[:, 0].notna().mean())}


def curves(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return none."""
    return {}


def baselines(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return none."""
    return {}
