"""Compare a day's rows, predictions and quality with what the model in production was judged on.

Drift is reported: in data/batch/drift.{json,html}, MLflow and Prometheus. The stage fails only with
`monitor.fail: true`. `monitor.retrain` is the command that starts the training pipeline from where
the stage runs, such as `make pipeline` on a laptop or a call of the engine's API in the cluster; it
runs when drift is found, so the same day twice starts it twice.
"""

import math
import subprocess
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from pydantic import Field

from . import contract, files, monitoring, observed, params, production, publish, reference
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
    if kept:
        found |= judge(kept, current, published, limits)
    files.write_json(DRIFT, found)
    files.write_text(REPORT, monitoring.page(found, kept and compared(kept), current))
    monitoring.to_prometheus(found)
    monitoring.to_mlflow(found, [DRIFT, REPORT])
    show()
    if found["moved"] and limits.retrain:
        print(f"monitor.retrain: {limits.retrain}", flush=True)
        if subprocess.run(limits.retrain, shell=True, check=False).returncode:
            raise Problem(f"monitor.retrain in params.yaml failed: {limits.retrain}")
    if found["moved"] and limits.fail:
        raise Problem(f"there is drift, and monitor.fail: {'; '.join(found['moved'])}")


def show() -> None:
    """Say what the latest comparison found, and where its report is."""
    if not DRIFT.exists():
        raise Problem("no batch has been judged yet: type `make batch`")
    found = files.read_json(DRIFT)
    title = f"{found['date']}, {found['rows']:,} rows, version {found['version']}"
    if not found["judged"]:
        print(f"{title}: no reference or too few rows, so drift is not judged; register anew")
        return
    print(f"{title}: {'drift' if found['moved'] else 'no drift'}")
    for line in found["moved"]:
        print(f"  {line}")
    if not found["quality"]:
        print("  the quality is not known: no labels have arrived")
    print(f"Open in a browser:  {REPORT.resolve().as_uri()}")


def judge(
    kept: observed.Judged, current: pd.DataFrame, published: dict[str, Any], limits: Params
) -> dict[str, Any]:
    """Compare the inputs, the predictions and, where labels are known, the quality."""
    examples, predictions = kept
    own, rows = parts(examples["event_timestamp"], len(current)), len(current)
    usual = views(compared(kept), own, rows, limits)
    columns = compare(usual, current, limits)
    predicted = [name for name, view in usual.items() if view.column in predictions]
    findings: dict[str, dict[str, Any]] = {
        "inputs": {name: columns[name] for name in columns if name not in predicted},
        "predictions": {name: columns[name] for name in predicted},
        "quality": quality(kept, observed.labelled(published, limits.days), limits),
    }
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
    return {**as_json, "moved": moved, "judged": len(current) >= limits.min_rows}


def compared(kept: observed.Judged) -> pd.DataFrame:
    """Give the inputs beside the predictions; a label may have the name of one of these."""
    examples, predictions = kept
    inputs = examples[[*contract.schema().Features.to_schema().columns]]
    return pd.concat([inputs, predictions], axis=1)


def quality(kept: observed.Judged, now: observed.Judged | None, limits: Params) -> dict[str, Moved]:
    """Hold the metrics against those of the reference; its own days say what is usual."""
    if now is None or len(now[0]) < limits.min_rows:
        return {}
    score = contract.metrics().score
    whole, values = score(*kept), score(*now)
    own = parts(kept[0]["event_timestamp"], len(now[0]), limits.days)
    spans = [score(*(table.iloc[part] for table in kept)) for part in own]
    found, names = {}, sorted(values.keys() & whole.keys())
    for name in names:
        gaps = [abs(each[name] - whole[name]) for each in spans if name in each]
        known = [gap for gap in gaps if math.isfinite(gap)]
        bound = limits.bound(known, [], 0.0, len(names)) if known else math.inf
        far = abs(values[name] - whole[name]) > bound
        moved = f"is {values[name]:.4f}, usually {whole[name]:.4f}" if far else ""
        found[name] = Moved(values[name], whole[name], bound, moved)
    return found
