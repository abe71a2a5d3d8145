"""Compare a day's rows, predictions and quality with the reference of the model in production.

Drift is reported in data/batch/drift.{json,html}, MLflow and Prometheus. It fails the stage only if
`monitor.fail` is true. `monitor.retrain` is a command that starts the training pipeline from where
the stage runs, such as `make pipeline` on a laptop or a call of the engine's API in the cluster. It
runs whenever drift is found, so comparing the same day twice starts it twice.
"""

import math
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from pydantic import Field

from .. import contract, files, params, reporting
from ..batch import publish
from ..data import delta
from ..errors import Problem
from ..registry import fetch, reference
from . import current, exporters
from .result import DriftResult, Verdict
from .thresholds import Thresholds, compare, parts, views

DRIFT = files.BATCH / "drift.json"
REPORT = files.BATCH / "drift.html"


@dataclass(frozen=True)
class Moved:
    """One metric of the quality, compared with its value on the reference."""

    value: float
    usually: float
    bound: float
    """Largest allowed difference, in either direction."""
    moved: str
    """What is wrong, or empty."""


class Unjudged(Exception):
    """The quality cannot be compared with the reference, for the reason in the message."""


class Params(Thresholds):
    """The optional section `monitor` of params.yaml."""

    days: int = Field(default=7, ge=1)
    """Quality is computed from the labeled rows of this many days, including the scored one."""
    fail: bool = False
    """True if drift fails the stage; the predictions are published in either case."""
    retrain: str = ""
    """Command to run when there is drift."""


def run() -> None:
    """data/batch/ and the published days → data/batch/drift.{json,html}, MLflow, Prometheus."""
    limits = params.section("monitor", Params, optional=True)
    published = files.read_json(publish.PUBLISHED)
    stored, rows = reference.read(fetch.REFERENCE), current.day(published["rows"])
    verdict = Verdict(
        judged=False,
        inputs={},
        predictions={},
        quality={},
        moved=[],
        unjudged=[f"version {published['version']} has no reference: register it again"],
    )
    failed: list[str] = []

    def attempt(task: str, action: Callable[[], None]) -> None:
        """Run `action`, or note its error in one line, so that the remaining steps run anyway."""
        try:
            action()
        except Problem as problem:
            failed.append(str(problem))
        except Exception as error:
            failed.append(reporting.label(f"{task}: {type(error).__name__}: {error}", 300))

    def draw() -> None:
        files.write_text(REPORT, exporters.page(result, stored and compared(stored), rows))

    if stored:
        attempt("drift", lambda: verdict.update(judge(stored, rows, published, limits)))
        verdict["unjudged"] = failed[:] or verdict["unjudged"]
    result: DriftResult = {
        "date": published["date"],
        "name": published["name"],
        "version": published["version"],
        "rows": published["rows"],
        **verdict,
    }
    files.write_json(DRIFT, result)
    REPORT.unlink(missing_ok=True)
    attempt("Prometheus", lambda: exporters.to_prometheus(result))
    attempt(REPORT.name, draw)
    attempt("MLflow", lambda: exporters.to_mlflow(result, [DRIFT, REPORT]))
    show()
    if result["moved"] and limits.retrain:
        print(f"monitor.retrain: {limits.retrain}", flush=True)
        if subprocess.run(limits.retrain, shell=True, check=False).returncode:
            failed.append(f"monitor.retrain in params.yaml failed: {limits.retrain}")
    if result["moved"] and limits.fail:
        failed.append(f"there is drift, and monitor.fail is set: {'; '.join(result['moved'])}")
    if failed:
        raise Problem("; ".join(failed))


def show() -> None:
    """Print the result of the latest comparison, and where its report is."""
    if not DRIFT.exists():
        raise Problem("no batch has been compared yet: type `make batch`")
    result = files.read_json(DRIFT)
    verdict = ("drift" if result["moved"] else "no drift") if result["judged"] else "not judged"
    print(f"{result['date']}, {result['rows']:,} rows, version {result['version']}: {verdict}")
    for line in result["moved"]:
        print(f"  {line}")
    for line in result.get("unjudged", []):  # older platforms did not write this key
        print(f"  not judged: {line}")
    if REPORT.exists():
        print(f"Open in a browser:  {REPORT.resolve().as_uri()}")


def judge(
    stored: current.Judged, day: pd.DataFrame, published: dict[str, Any], limits: Params
) -> Verdict:
    """Compare the inputs, the predictions and, if there are labels, the quality."""
    before, rows = compared(stored), len(day)
    expected = views(before, parts(stored[0]["event_timestamp"], rows), rows, limits)
    columns = compare(expected, day, limits)
    predicted = [name for name, view in expected.items() if view.column in stored[1]]
    findings: dict[str, dict[str, Any]] = {
        "inputs": {name: columns[name] for name in columns if name not in predicted},
        "predictions": {name: columns[name] for name in predicted},
        "quality": {},
    }
    unjudged = [f"{name}: the reference does not have it" for name in day if name not in before]
    unjudged += [f"{name}: {each.unjudged}" for name, each in columns.items() if each.unjudged]
    if rows < limits.min_rows:
        minimum = f"monitor.min_rows in params.yaml is {limits.min_rows}"
        unjudged.append(f"inputs and predictions: there are {rows} rows, and {minimum}")
    try:
        findings["quality"] = quality(stored, current.labelled(published, limits.days), limits)
    except Exception as error:  # a source may be unreachable, or the team's code may fail
        is_reason = isinstance(error, Unjudged | Problem)
        why = str(error) if is_reason else f"{type(error).__name__}: {error}"
        unjudged.append(f"quality: {reporting.label(why, 300)}")
    moved = [
        f"{name} {each.moved}"
        for kind in findings.values()
        for name, each in kind.items()
        if each.moved
    ]
    as_json = {
        kind: {name: asdict(each) for name, each in group.items()}
        for kind, group in findings.items()
    }
    return Verdict(
        judged=rows >= limits.min_rows or bool(findings["quality"]),
        inputs=as_json["inputs"],
        predictions=as_json["predictions"],
        quality=as_json["quality"],
        moved=moved,
        unjudged=unjudged,
    )


def compared(stored: current.Judged) -> pd.DataFrame:
    """Return the reference's inputs and predictions under the names that `current.day` uses.

    Labels are left out, as one may have the name of a prediction. So are inputs that were added
    after the model was registered: the reference does not have them.
    """
    examples, predictions = stored
    columns = contract.schema().Features.to_schema().columns
    inputs = examples[[name for name in columns if name in examples]]
    names, _ = delta.names(columns, predictions, ())
    return pd.concat([inputs.rename(columns=names), predictions], axis=1)


def quality(
    stored: current.Judged, labeled: current.Judged | None, limits: Params
) -> dict[str, Moved]:
    """Compare the metrics with those of the reference, with bounds from the reference's own days.

    Raises:
        Unjudged: there are too few labels, or the current metrics need columns that this version
            does not have.
    """
    rows = len(labeled[0]) if labeled else 0
    if labeled is None or rows < limits.min_rows:
        minimum = f"monitor.min_rows in params.yaml is {limits.min_rows}"
        raise Unjudged(f"labels have arrived for {rows} rows, and {minimum}")
    score, own = contract.metrics().score, parts(stored[0]["event_timestamp"], rows, limits.days)
    try:
        whole, values = score(*stored), score(*labeled)
        spans = [score(*(table.iloc[part] for table in stored)) for part in own]
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise Unjudged(f"metrics.score failed for this version ({reason})") from error
    results, names = {}, sorted(values.keys() & whole.keys())
    for name in names:
        gaps = [abs(each[name] - whole[name]) for each in spans if name in each]
        finite_gaps = [gap for gap in gaps if math.isfinite(gap)]
        bound = limits.bound(finite_gaps, [], 0.0, len(names)) if finite_gaps else math.inf
        far = abs(values[name] - whole[name]) > bound
        moved = f"is {values[name]:.4f}, but {whole[name]:.4f} on the reference" if far else ""
        results[name] = Moved(values[name], whole[name], bound, moved)
    return results
