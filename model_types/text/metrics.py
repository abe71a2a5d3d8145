"""Metrics, curves and baselines."""

import re
from urllib.parse import unquote_plus

import numpy as np
import pandas as pd
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from .model import LABEL

FALSE_POSITIVES = 0.001
"""Share of benign requests that may be blocked by mistake."""
FLAGGED = 0.5
"""Probability at which a request counts as an attack, for metrics without a ranking."""
BASELINE_ROWS = 20_000
POINTS = 200

# Rules of a firewall without a model: points and pattern.
RULES = [
    (5, r"\bunion\b.{1,20}\bselect\b|\bselect\b.{1,60}\bfrom\b"),
    (5, r"['\"]\s*(or|and)\b.{0,20}[=<>]|\b(or|and)\s+\d+\s*[=<>]"),
    (4, r";\s*(drop|waitfor|insert|delete|update)\b|\b(sleep|pg_sleep|extractvalue)\("),
    (2, r"['\"].{0,40}(--|#|/\*)"),
    (5, r"<\s*(script|iframe|svg|img|math)\b"),
    (4, r"\bjavascript:|\bon[a-z]{3,12}\s*="),
    (2, r"\b(alert|eval|fetch)\("),
    (5, r"/etc/(passwd|shadow|hosts)|win\.ini|/proc/self"),
    (3, r"(\.\./|\.\.\\){2}|\bfile:/|\bphp:/"),
    (4, r"[;|&`]\s*(cat|id|ls|ping|wget|curl|sleep|bash|uname|nslookup|dir)\b|\$\("),
    (5, r"\$\{jndi:"),
    (3, r"^(sqlmap|nikto|wget)"),
]


def score(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
    """Return the metrics by name; a metric is left out if the rows lack a class that it needs."""
    label, probability = examples[LABEL], predictions["probability"]
    flagged = probability >= FLAGGED
    scores = {
        "log_loss": sk.log_loss(label, probability, labels=[False, True]),
        "attack_share": label.mean(),
    }
    if label.any():
        scores["recall"] = flagged[label].mean()
    if not label.all():
        scores["false_positive_rate"] = flagged[~label].mean()
    if label.nunique() == 2:
        rates, recalls, thresholds = sk.roc_curve(label, probability, drop_intermediate=False)
        allowed = np.searchsorted(rates, FALSE_POSITIVES, side="right") - 1
        scores["recall_at_fpr"] = recalls[allowed]
        scores["roc_auc"] = sk.roc_auc_score(label, probability)
        scores["average_precision"] = sk.average_precision_score(label, probability)
        if (near := examples["kind"] == "near_miss").any():
            scores["near_misses_at_fpr"] = (probability[near] >= thresholds[allowed]).mean()
    return {name: float(value) for name, value in scores.items()}


def curves(examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return recall by false-positive rate and by day, precision-recall and calibration."""
    label, probability = examples[LABEL], predictions["probability"]
    rates, recalls, thresholds = sk.roc_curve(label, probability, drop_intermediate=False)
    allowed = np.searchsorted(rates, FALSE_POSITIVES, side="right") - 1
    positive = rates > 0
    precision, recall, _ = sk.precision_recall_curve(label, probability)
    observed, predicted = calibration_curve(label, probability, n_bins=10)
    when = examples["event_timestamp"]
    days = (when - when.min()).dt.days.rename("day")[label]
    daily = (probability >= thresholds[allowed])[label].groupby(days).mean()
    return {
        "recall_by_false_positives": _curve(
            log10_false_positive_rate=np.log10(rates[positive]), recall=recalls[positive]
        ),
        "recall_by_day": _curve(day=daily.index.to_numpy(), recall=daily.to_numpy()),
        "precision_recall": _curve(recall=recall[::-1], precision=precision[::-1]),
        "calibration": _curve(predicted=predicted, observed=observed),
    }


def baselines(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the predictions of a constant and of RULES, with points scaled to probabilities."""
    sample = train.sample(min(len(train), BASELINE_ROWS), random_state=0)
    logistic = LogisticRegression().fit(_points(sample), sample[LABEL])
    predicted = {
        "constant": np.full(len(test), train[LABEL].mean()),
        "rules": logistic.predict_proba(_points(test))[:, 1],
    }
    return {
        name: pd.DataFrame({"probability": values}, index=test.index)
        for name, values in predicted.items()
    }


def _points(rows: pd.DataFrame) -> np.ndarray:
    """Return the sum of the points of the rules that match each request, decoded once."""
    rules = [(points, re.compile(rule, re.IGNORECASE | re.MULTILINE)) for points, rule in RULES]
    texts = rows[["user_agent", "path", "query", "body"]].agg("\n".join, axis=1).map(unquote_plus)
    return np.array([[sum(p for p, rule in rules if rule.search(text))] for text in texts])


def _curve(**columns: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    if len(table) <= POINTS:
        return table
    return table.iloc[np.linspace(0, len(table) - 1, POINTS).astype(int)]
