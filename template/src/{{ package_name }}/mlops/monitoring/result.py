"""The result of a comparison, as it stands in data/batch/drift.json."""

from typing import Any, TypedDict

Findings = dict[str, dict[str, Any]]
"""The fields of a `thresholds.Finding`, or of a `drift.Moved` for a metric, by name."""


class Verdict(TypedDict):
    """What a comparison found."""

    judged: bool
    """False if nothing could be compared."""
    inputs: Findings
    predictions: Findings
    quality: Findings
    moved: list[str]
    """One line per column or metric that moved."""
    unjudged: list[str]
    """One line per column, metric or part that could not be compared, with the reason."""


class DriftResult(Verdict):
    """A verdict on one day's rows and the model version that scored them."""

    date: str
    name: str
    version: int
    rows: int
