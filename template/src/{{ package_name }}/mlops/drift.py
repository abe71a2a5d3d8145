"""Compare a day's rows, predictions and quality with what the model in production was judged on.

Drift is reported: in data/batch/drift.{json,html}, MLflow and Prometheus. The stage fails only with
`monitor.fail: true`. `monitor.retrain` is the command that starts the training pipeline from where
the stage runs, such as `make pipeline` on a laptop or a call of the engine's API in the cluster; it
runs when drift is found, so the same day twice starts it twice.
"""

import math
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from pydantic import Field

from . import (
    contract,
    delta,
    files,
    monitoring,
    observed,
    params,
    production,
    publish,
    reference,
    report,
)
from .errors import Problem
from .usual import Thresholds, compare, parts, views

DRIFT = files.BATCH / "drift.json"
REPORT = files.BATCH / "drift.html"


@dataclass(frozen=True)
class Moved:
    """One metric of the quality beside that of the reference."""

    value: float
    usually: float
    bound: float
    """Of the difference, either way."""
    moved: str
    """What is wrong, or nothing."""


class Unjudged(Exception):
    """What cannot be held against the reference: the reason."""


class Params(Thresholds):
    """The section `monitor` of params.yaml; it may be left out."""

    days: int = Field(default=7, ge=1)
    """The quality is that of the labelled rows of so many days, the scored one included."""
    fail: bool = False
    """Whether drift fails the stage; the predictions are published all the same."""
    retrain: str = ""
    """A command to run when there is drift."""


def run() -> None:
    """data/batch/ and the published days → data/batch/drift.{json,html}, MLflow, Prometheus."""
    limits = params.section("monitor", Params, optional=True)
    published = files.read_json(publish.PUBLISHED)
    kept, current = reference.read(production.REFERENCE), observed.day(published["rows"])
    found = {name: published[name] for name in ("date", "name", "version", "rows")}
    found |= {"judged": False, "inputs": {}, "predictions": {}, "quality": {}, "moved": []}
    found["unjudged"] = [f"version {found['version']} has no reference: register anew"]
    failed: list[str] = []

    def attempt(what: str, do: Callable[[], None]) -> None:
        """Do it, or note in a line why it failed: whatever a value breaks, the rest is done."""
        try:
            do()
        except Problem as problem:
            failed.append(str(problem))
        except Exception as error:
            failed.append(report.label(f"{what}: {type(error).__name__}: {error}", 300))

    def draw() -> None:
        files.write_text(REPORT, monitoring.page(found, kept and compared(kept), current))

    if kept:
        attempt("drift", lambda: found.update(judge(kept, current, published, limits)))
        found["unjudged"] = failed[:] or found["unjudged"]
    files.write_json(DRIFT, found)
    REPORT.unlink(missing_ok=True)
    attempt("Prometheus", lambda: monitoring.to_prometheus(found))
    attempt(REPORT.name, draw)
    attempt("MLflow", lambda: monitoring.to_mlflow(found, [DRIFT, REPORT]))
    show()
    if found["moved"] and limits.retrain:
        print(f"monitor.retrain: {limits.retrain}", flush=True)
        if subprocess.run(limits.retrain, shell=True, check=False).returncode:
            failed.append(f"monitor.retrain in params.yaml failed: {limits.retrain}")
    if found["moved"] and limits.fail:
        failed.append(f"there is drift, and monitor.fail: {'; '.join(found['moved'])}")
    if failed:
        raise Problem("; ".join(failed))


def show() -> None:
    """Say what the latest comparison found, and where its report is."""
    if not DRIFT.exists():
        raise Problem("no batch has been judged yet: type `make batch`")
    found = files.read_json(DRIFT)
    verdict = ("drift" if found["moved"] else "no drift") if found["judged"] else "not judged"
    print(f"{found['date']}, {found['rows']:,} rows, version {found['version']}: {verdict}")
    for line in found["moved"]:
        print(f"  {line}")
    for line in found.get("unjudged", []):  # a comparison of an older platform has none
        print(f"  not judged: {line}")
    if REPORT.exists():
        print(f"Open in a browser:  {REPORT.resolve().as_uri()}")


def judge(
    kept: observed.Judged, current: pd.DataFrame, published: dict[str, Any], limits: Params
) -> dict[str, Any]:
    """Compare the inputs, the predictions and, where labels are known, the quality."""
    before, rows = compared(kept), len(current)
    usual = views(before, parts(kept[0]["event_timestamp"], rows), rows, limits)
    columns = compare(usual, current, limits)
    predicted = [name for name, view in usual.items() if view.column in kept[1]]
    findings: dict[str, dict[str, Any]] = {
        "inputs": {name: columns[name] for name in columns if name not in predicted},
        "predictions": {name: columns[name] for name in predicted},
        "quality": {},
    }
    unjudged = [f"{name}: the reference does not have it" for name in current if name not in before]
    unjudged += [f"{name}: {each.unjudged}" for name, each in columns.items() if each.unjudged]
    if rows < limits.min_rows:
        least = f"monitor.min_rows in params.yaml is {limits.min_rows}"
        unjudged.append(f"inputs and predictions: there are {rows} rows, and {least}")
    try:
        findings["quality"] = quality(kept, observed.labelled(published, limits.days), limits)
    except Exception as reason:  # a source is away, or a value is more than its code can take
        known = isinstance(reason, Unjudged | Problem)
        why = str(reason) if known else f"{type(reason).__name__}: {reason}"
        unjudged.append(f"quality: {report.label(why, 300)}")
    moved = [
        f"{name} {each.moved}"
        for kind in findings.values()
        for name, each in kind.items()
        if each.moved
    ]
    as_json = {
        kind: {name: asdict(each) for name, each in found.items()}
        for kind, found in findings.items()
    }
    judged = rows >= limits.min_rows or bool(findings["quality"])
    return {**as_json, "moved": moved, "unjudged": unjudged, "judged": judged}


def compared(kept: observed.Judged) -> pd.DataFrame:
    """Give the inputs beside the predictions; a label may have the name of one of these.

    An input that came after the model was registered is not among them.
    """
    examples, predictions = kept
    columns = contract.schema().Features.to_schema().columns
    inputs = examples[[name for name in columns if name in examples]]
    names, _ = delta.names(columns, predictions, ())
    return pd.concat([inputs.rename(columns=names), predictions], axis=1)


def quality(kept: observed.Judged, now: observed.Judged | None, limits: Params) -> dict[str, Moved]:
    """Hold the metrics against those of the reference; its own days say what is usual.

    Raises:
        Unjudged: labels are too few, or the metrics of now ask for what the model's time had not.
    """
    known = len(now[0]) if now else 0
    if now is None or known < limits.min_rows:
        least = f"monitor.min_rows in params.yaml is {limits.min_rows}"
        raise Unjudged(f"labels of {known} rows have arrived, and {least}")
    score, own = contract.metrics().score, parts(kept[0]["event_timestamp"], known, limits.days)
    try:
        whole, values = score(*kept), score(*now)
        spans = [score(*(table.iloc[part] for table in kept)) for part in own]
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise Unjudged(f"metrics.score cannot judge this version ({reason})") from error
    found, names = {}, sorted(values.keys() & whole.keys())
    for name in names:
        gaps = [abs(each[name] - whole[name]) for each in spans if name in each]
        usual = [gap for gap in gaps if math.isfinite(gap)]
        bound = limits.bound(usual, [], 0.0, len(names)) if usual else math.inf
        far = abs(values[name] - whole[name]) > bound
        moved = f"is {values[name]:.4f}, usually {whole[name]:.4f}" if far else ""
        found[name] = Moved(values[name], whole[name], bound, moved)
    return found
