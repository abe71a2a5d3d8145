"""Decide whether the model may be registered; the stage fails where a rule does."""

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from . import contract, dataset, evaluate, files, params, registered, tables, tracking
from .errors import Problem

GATE = files.REPORTS / "gate.json"


class Bound(BaseModel):
    """What a value must keep to; a value that is no number keeps to nothing."""

    model_config = ConfigDict(extra="forbid")

    min: float = -float("inf")
    max: float = float("inf")

    def broken_by(self, value: float) -> str:
        """Say how, or give nothing."""
        if not value >= self.min:
            return f"is {value:.4f}, {self.min - value:.4f} under the least, {self.min:g}"
        if not value <= self.max:
            return f"is {value:.4f}, {value - self.max:.4f} over the most, {self.max:g}"
        return ""

    def judge(self, rule: str, value: float) -> "Verdict":
        """Compare a value with the bound."""
        least, most = (end if math.isfinite(end) else None for end in (self.min, self.max))
        return Verdict(rule, value, self.broken_by(value), least, most)


Bounds = dict[str, Bound]


class Params(BaseModel):
    """The section `gate` of params.yaml: bounds by metric."""

    model_config = ConfigDict(extra="forbid")

    metrics: Bounds = {}
    slices: Bounds = {}
    """Each slice by itself."""
    baselines: dict[str, Bounds] = {}
    """By baseline: the model's metric less the baseline's."""
    champion: Bounds = {}
    """The model's metric less the champion's, on the same rows."""


@dataclass(frozen=True)
class Verdict:
    """One rule: the value, how it broke the bound, if it did, and the bound that held then."""

    rule: str
    value: float
    broken: str
    min: float | None
    max: float | None


def run() -> None:
    """reports/ and the champion → reports/gate.json; exits with 1 where a rule is broken."""
    values = params.section("gate", Params)
    scores, slices = files.read_json(files.METRICS), files.read_json(evaluate.SLICES)
    verdicts = list(judge(values, scores, slices))
    champion = tracking.champion()
    same = champion and champion.tags.get("model_digest") == files.digest(files.MODEL)
    if values.champion and champion and not same:
        title = f"champion (version {champion.version})"
        verdicts += _differences(title, values.champion, scores, champion_scores(champion))
    passed = not any(verdict.broken for verdict in verdicts)
    files.write_json(GATE, {"passed": passed, "rules": [asdict(item) for item in verdicts]})
    tracking.record(gate="passed" if passed else "failed", test_rows=dataset.judged_on())
    for verdict in verdicts:
        said = f"{verdict.rule}: {verdict.value:.4f}, {limits(asdict(verdict))}"
        print(f"{'FAIL' if verdict.broken else 'pass'}  {said}")
    if not passed:
        broken = "; ".join(f"{item.rule} {item.broken}" for item in verdicts if item.broken)
        raise Problem(f"the model does not pass, nothing is registered: {broken}")


def limits(rule: Mapping[str, Any]) -> str:
    """Return the bound of a rule of GATE, as people say it."""
    ends = {"at least": rule.get("min"), "at most": rule.get("max")}
    return " and ".join(f"{name} {end:g}" for name, end in ends.items() if end is not None)


def margin(rule: Mapping[str, Any]) -> float | None:
    """Return how far a rule's value is within its bound; less than 0 where it is broken."""
    ends = [(rule.get("min"), 1), (rule.get("max"), -1)]
    found = [sign * (rule["value"] - end) for end, sign in ends if end is not None]
    return min(found, default=None)


def judge(
    values: Params, scores: Mapping[str, Any], slices: Mapping[str, Mapping[str, float]]
) -> Iterator[Verdict]:
    """Hold the metrics, the slices' and the differences to the baselines against their bounds."""
    for metric, bound in values.metrics.items():
        value = _metric(scores, metric, "gate.metrics")
        yield bound.judge(metric, value)
    for metric, bound in values.slices.items():
        _metric(scores, metric, "gate.slices")
        for name, found in slices.items():
            if metric in found:
                yield bound.judge(f"{metric} of {name}", found[metric])
    for name, bounds in values.baselines.items():
        if name not in scores["baselines"]:
            known = ", ".join(scores["baselines"])
            raise Problem(f"params.yaml: gate.baselines.{name}: there are {known}")
        yield from _differences(f"baseline {name}", bounds, scores, scores["baselines"][name])


def _differences(
    title: str, bounds: Bounds, scores: Mapping[str, Any], other: Mapping[str, Any]
) -> Iterator[Verdict]:
    for metric, bound in bounds.items():
        # Six decimals, as in the reports; + 0.0 makes a zero of a minus zero.
        theirs = round(_metric(other, metric, "gate"), 6)
        value = round(_metric(scores, metric, "gate") - theirs, 6) + 0.0
        yield bound.judge(f"{metric} less that of the {title}", value)


def _metric(scores: Mapping[str, Any], metric: str, where: str) -> float:
    value = scores.get(metric)
    if not isinstance(value, int | float):
        known = ", ".join(name for name, found in scores.items() if isinstance(found, int | float))
        raise Problem(f"params.yaml: {where}: there is no metric {metric}; there are {known}")
    return float(value)


def champion_scores(champion: Any) -> dict[str, float]:
    """Score the champion, run by the code it was registered with, on this model's test rows."""
    test = dataset.read("test")
    with tempfile.TemporaryDirectory() as scratch:
        rows, out = Path(scratch, "test.parquet"), Path(scratch, "predictions.parquet")
        tables.write(test, rows)
        try:
            registered.by_own_code(tracking.download(champion, Path(scratch)), rows, out)
            return contract.metrics().score(test, tables.read(out))
        except Exception as error:  # what it predicts need not have the names of now
            reason = error if isinstance(error, Problem) else f"{type(error).__name__}: {error}"
            raise Problem(
                f"the champion (version {champion.version}) cannot be judged: {reason};"
                " empty gate.champion in params.yaml to register without comparing"
            ) from error
