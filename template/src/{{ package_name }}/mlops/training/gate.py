"""Decide whether the model may be registered; the stage fails if a rule is broken."""

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from .. import contract, files, params, tables
from ..data import dataset
from ..errors import Problem
from ..registry import fetch, isolated, tracking, versions
from ..registry.rules import limits
from ..registry.versions import ModelVersion
from . import evaluate

GATE = files.REPORTS / "gate.json"


class Bound(BaseModel):
    """Inclusive bounds for a value; NaN breaks every bound."""

    model_config = ConfigDict(extra="forbid")

    min: float = -float("inf")
    max: float = float("inf")

    def broken_by(self, value: float) -> str:
        """Return how the value breaks the bound, or "" if it does not."""
        if not value >= self.min:
            return f"is {value:.4f}, {self.min - value:.4f} below the minimum {self.min:g}"
        if not value <= self.max:
            return f"is {value:.4f}, {value - self.max:.4f} above the maximum {self.max:g}"
        return ""

    def judge(self, rule: str, value: float) -> "Verdict":
        """Return the verdict on a value."""
        least, most = (end if math.isfinite(end) else None for end in (self.min, self.max))
        return Verdict(rule, value, self.broken_by(value), least, most)


Bounds = dict[str, Bound]


class Params(BaseModel):
    """The section `gate` of params.yaml: bounds by metric."""

    model_config = ConfigDict(extra="forbid")

    metrics: Bounds = {}
    slices: Bounds = {}
    """Applied to each slice separately."""
    baselines: dict[str, Bounds] = {}
    """By baseline: bounds on the model's metric minus the baseline's."""
    champion: Bounds = {}
    """Bounds on the model's metric minus the champion's, on the same rows."""


@dataclass(frozen=True)
class Verdict:
    """The value of one rule, how it broke the bound ("" if it did not), and the bound."""

    rule: str
    value: float
    broken: str
    min: float | None
    max: float | None


def run() -> None:
    """Judge reports/, compare with the champion and write reports/gate.json.

    Raises:
        Problem: a rule is broken.
    """
    values = params.section("gate", Params)
    scores, slices = files.read_json(files.METRICS), files.read_json(evaluate.SLICES)
    verdicts = list(judge(values, scores, slices))
    champion = versions.champion()
    is_champion = champion and champion.digest == files.digest(files.MODEL)
    if values.champion and champion and not is_champion:
        title = f"champion (version {champion.number})"
        verdicts += _differences(title, values.champion, scores, champion_scores(champion))
    passed = not any(verdict.broken for verdict in verdicts)
    files.write_json(GATE, {"passed": passed, "rules": [asdict(item) for item in verdicts]})
    tracking.record(gate="passed" if passed else "failed", test_rows=dataset.judged_on())
    for verdict in verdicts:
        line = f"{verdict.rule}: {verdict.value:.4f}, {limits(asdict(verdict))}"
        print(f"{'FAIL' if verdict.broken else 'pass'}  {line}")
    if not passed:
        broken = "; ".join(f"{item.rule} {item.broken}" for item in verdicts if item.broken)
        raise Problem(f"the model does not pass, nothing is registered: {broken}")


def judge(
    values: Params, scores: Mapping[str, Any], slices: Mapping[str, Mapping[str, float]]
) -> Iterator[Verdict]:
    """Yield verdicts on the metrics, on the slices and on the differences from the baselines."""
    for metric, bound in values.metrics.items():
        value = _metric(scores, metric, "gate.metrics")
        yield bound.judge(metric, value)
    for metric, bound in values.slices.items():
        _metric(scores, metric, "gate.slices")
        for name, slice_scores in slices.items():
            if metric in slice_scores:
                yield bound.judge(f"{metric} of {name}", slice_scores[metric])
    for name, bounds in values.baselines.items():
        if name not in scores["baselines"]:
            names = ", ".join(scores["baselines"])
            raise Problem(
                f"params.yaml: gate.baselines.{name}: no such baseline; there are {names}"
            )
        yield from _differences(f"baseline {name}", bounds, scores, scores["baselines"][name])


def _differences(
    title: str, bounds: Bounds, scores: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[Verdict]:
    for metric, bound in bounds.items():
        # Six decimals, as in the reports; + 0.0 turns -0.0 into 0.0.
        other_value = round(_metric(other, metric, "gate"), 6)
        value = round(_metric(scores, metric, "gate") - other_value, 6) + 0.0
        yield bound.judge(f"{metric} less that of the {title}", value)


def _metric(scores: Mapping[str, Any], metric: str, where: str) -> float:
    value = scores.get(metric)
    if not isinstance(value, int | float):
        names = ", ".join(name for name, each in scores.items() if isinstance(each, int | float))
        raise Problem(f"params.yaml: {where}: there is no metric {metric}; there are {names}")
    return float(value)


def champion_scores(champion: ModelVersion) -> dict[str, float]:
    """Score the champion on this model's test rows, with the code it was registered with.

    Raises:
        Problem: the champion cannot predict these rows, or its predictions cannot be scored.
    """
    test = dataset.read("test")
    with tempfile.TemporaryDirectory() as scratch:
        rows, out = Path(scratch, "test.parquet"), Path(scratch, "predictions.parquet")
        tables.write(test, rows)
        try:
            isolated.by_own_code(fetch.download(champion, Path(scratch)), rows, out)
            return contract.metrics().score(test, tables.read(out))
        except Exception as error:  # its predictions may have other column names
            reason = error if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
            raise Problem(
                f"the champion (version {champion.number}) cannot be judged: {reason};"
                " empty gate.champion in params.yaml to register without this comparison"
            ) from error
