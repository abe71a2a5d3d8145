"""Prometheus metrics of the service."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

FAST = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
BEYOND = (1, 3, 10, 30, 100, 300, 1_000)
# Tenths for probabilities; for other values, bounds that fit minutes as well as counts.
VALUES = (*(-bound for bound in reversed(BEYOND)), *(n / 10 for n in range(10)), *BEYOND)

REQUESTS = Counter("mlops_requests", "Requests for predictions, by status.", ["status"])
SECONDS = Histogram("mlops_request_seconds", "Time from a request to its response.", buckets=FAST)
IN_FLIGHT = Gauge("mlops_requests_in_flight", "Requests in progress.")
ROWS = Counter("mlops_rows", "Rows predicted.")
MODEL_SECONDS = Histogram("mlops_model_seconds", "Time in the model, per batch.", buckets=FAST)
PREDICTIONS = Histogram(
    "mlops_prediction", "Predicted values, by column.", ["column"], buckets=VALUES
)
# A histogram with negative buckets exports no sum: it could fall, which Prometheus treats as a
# restart. The counters of the two signs only rise; their difference is the sum.
SIZES = Counter(
    "mlops_prediction_size",
    "Sum of absolute predicted values, by column and sign.",
    ["column", "sign"],
)
ONLINE_FAILURES = Counter(
    "mlops_online_store_failures", "Rows predicted without the online store, by error.", ["error"]
)
FEATURES_MISSING = Counter(
    "mlops_feature_missing", "Rows whose feature is missing in Feast, or too old.", ["feature"]
)
FEATURE_AGE = Gauge(
    "mlops_feature_age_seconds", "Age of the newest value in the last look-up.", ["feature"]
)
SHADOW_FAILURES = Counter("mlops_shadow_failures", "Batches on which the challenger failed.")
LOG_DROPPED = Counter("mlops_log_dropped_rows", "Rows dropped from the prediction log.")
MODEL = Gauge("mlops_model_info", "1 for the model being served.", ["name", "version", "digest"])

LARGEST = 1e300
"""Larger values are skipped: like infinity, they would spoil a sum permanently."""

# Looking up a label takes as long as counting.
_requests = cache(REQUESTS.labels)


def answered(status: int, seconds: float) -> None:
    """Count a request and record its duration."""
    _requests(status).inc()
    SECONDS.observe(seconds)


@cache
def _column(name: str) -> tuple[Histogram, Counter, Counter]:
    """Return a column's metrics, for both signs: PromQL cannot subtract a missing series."""
    return PREDICTIONS.labels(name), SIZES.labels(name, "positive"), SIZES.labels(name, "negative")


def observe(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Count the rows and record their predictions that are finite numbers."""
    ROWS.inc(len(predictions))
    for row in predictions:
        for name, value in row.items():
            if isinstance(value, (int, float)) and -LARGEST < value < LARGEST:
                values, positive, negative = _column(name)
                values.observe(value)
                (negative if value < 0 else positive).inc(abs(value))
