"""What Prometheus reads."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

FAST = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
BEYOND = (1, 3, 10, 30, 100, 300, 1_000)
# Tenths for probabilities; a scale that fits minutes as well as counts for the rest.
VALUES = (*(-bound for bound in reversed(BEYOND)), *(n / 10 for n in range(10)), *BEYOND)

REQUESTS = Counter("mlops_requests", "Requests for predictions, by status.", ["status"])
SECONDS = Histogram("mlops_request_seconds", "From a request to its answer.", buckets=FAST)
IN_FLIGHT = Gauge("mlops_requests_in_flight", "Requests that wait for their answer.")
ROWS = Counter("mlops_rows", "Rows predicted.")
MODEL_SECONDS = Histogram("mlops_model_seconds", "In the model, a batch.", buckets=FAST)
PREDICTIONS = Histogram(
    "mlops_prediction", "What the model says, by column.", ["column"], buckets=VALUES
)
# A histogram with negative buckets exports no sum: it could fall, which Prometheus takes for a
# restart. These two only rise; their difference is the sum.
SIZES = Counter(
    "mlops_prediction_size",
    "Sum of the predictions' sizes, by column and sign.",
    ["column", "sign"],
)
ONLINE_FAILURES = Counter(
    "mlops_online_store_failures", "Rows answered without the online store, by error.", ["error"]
)
FEATURES_MISSING = Counter(
    "mlops_feature_missing", "Rows whose feature Feast does not know, or too old.", ["feature"]
)
FEATURE_AGE = Gauge(
    "mlops_feature_age_seconds", "Age of the newest value of the last look-up.", ["feature"]
)
SHADOW_FAILURES = Counter("mlops_shadow_failures", "Batches that the challenger failed at.")
LOG_DROPPED = Counter("mlops_log_dropped_rows", "Rows that the prediction log has lost.")
MODEL = Gauge("mlops_model_info", "1 for the model that answers.", ["name", "version", "digest"])

LARGEST = 1e300
"""Beyond it a value, as infinity, would spoil a sum for good."""

# To look a label up takes as long as to count.
_requests = cache(REQUESTS.labels)


def answered(status: int, seconds: float) -> None:
    """Count a request by its answer."""
    _requests(status).inc()
    SECONDS.observe(seconds)


@cache
def _column(name: str) -> tuple[Histogram, Counter, Counter]:
    """Return a column's series; both signs at once, for PromQL subtracts none that is missing."""
    return PREDICTIONS.labels(name), SIZES.labels(name, "positive"), SIZES.labels(name, "negative")


def observe(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Count the rows and where their predictions lie; what is no finite number is only a row."""
    ROWS.inc(len(predictions))
    for row in predictions:
        for name, value in row.items():
            if isinstance(value, (int, float)) and -LARGEST < value < LARGEST:
                values, positive, negative = _column(name)
                values.observe(value)
                (negative if value < 0 else positive).inc(abs(value))
