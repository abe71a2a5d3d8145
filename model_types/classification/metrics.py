"""Metrics, curves and baselines."""

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .model import CATEGORIES, INPUTS, LABEL

BASELINE_ROWS = 50_000
POINTS = 200


def score(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the metrics by name; ROC AUC and average precision only if both classes occur."""
    label, probability = examples[LABEL], predictions["probability"]
    scores = {
        "log_loss": sk.log_loss(label, probability, labels=[False, True]),
        "brier": sk.brier_score_loss(label, probability, labels=[False, True]),
        "late_share": float(label.mean()),
        "predicted_share": float(probability.mean()),
    }
    if label.nunique() == 2:
        scores["roc_auc"] = sk.roc_auc_score(label, probability)
        scores["average_precision"] = sk.average_precision_score(label, probability)
    return {name: float(value) for name, value in scores.items()}


def curves(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return ROC, precision-recall and calibration curves: x first, then y."""
    label, probability = examples[LABEL], predictions["probability"]
    false_positives, true_positives, _ = sk.roc_curve(label, probability)
    precision, recall, _ = sk.precision_recall_curve(label, probability)
    observed, predicted = calibration_curve(label, probability, n_bins=10, strategy="quantile")
    return {
        "roc": _curve(false_positive_rate=false_positives, true_positive_rate=true_positives),
        "precision_recall": _curve(recall=recall[::-1], precision=precision[::-1]),
        "calibration": _curve(predicted=predicted, observed=observed),
    }


def baselines(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the predictions of a constant and of a logistic regression on the same inputs."""
    sample = train.sample(min(len(train), BASELINE_ROWS), random_state=0)
    numbers = [name for name in INPUTS if name not in CATEGORIES]
    logistic = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), CATEGORIES),
            (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        ),
        LogisticRegression(max_iter=500),
    ).fit(sample[INPUTS], sample[LABEL])
    predicted = {
        "constant": np.full(len(test), train[LABEL].mean()),
        "logistic": logistic.predict_proba(test[INPUTS])[:, 1],
    }
    return {
        name: pd.DataFrame({"probability": values}, index=test.index)
        for name, values in predicted.items()
    }


def _curve(**columns: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    if len(table) <= POINTS:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, POINTS).astype(int)]
