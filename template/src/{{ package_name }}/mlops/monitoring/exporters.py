"""Exports of a comparison: an HTML page, Prometheus metrics and an MLflow run."""

import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile

from .. import files, reporting
from ..errors import Problem
from ..registry import tracking
from ..settings import settings
from ..tables import finite, texts
from .result import DriftResult

TEXT = files.BATCH / "drift.prom"
PICTURES = 24
"""Maximum number of columns to draw; those that moved come first."""
BARS, BINS = 24, 30
"""A column with more than BARS distinct numbers is drawn as a histogram of BINS bins."""

Column: TypeAlias = "pd.Series[Any]"


def to_prometheus(result: DriftResult) -> None:
    """Push to $MLOPS_PUSHGATEWAY, or write TEXT for the node exporter's textfile collector.

    Raises:
        Problem: the push failed.
    """
    registry = registered(result)
    address = os.environ.get("MLOPS_PUSHGATEWAY")
    if not address:
        TEXT.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(TEXT), registry)
        return
    # A push replaces the metrics of its group, so each environment has its own.
    group = {"environment": env} if (env := settings().environment) else {}
    try:
        push_to_gateway(address, job=result["name"], grouping_key=group, registry=registry)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: not an address
        raise Problem(f"MLOPS_PUSHGATEWAY: pushing to {address} failed: {error}") from None


def registered(result: DriftResult) -> CollectorRegistry:
    """Return the gauges of a comparison, labeled with environment and model name."""
    registry, model = CollectorRegistry(), (settings().environment, result["name"])

    def gauge(name: str, about: str, *labels: str) -> Gauge:
        names = ["environment", "model", *labels]
        return Gauge(f"mlops_{name}", about, names, registry=registry)

    gauge("batch_rows", "Rows of the latest batch.").labels(*model).set(result["rows"])
    done = gauge("batch_timestamp_seconds", "When the latest batch was published.")
    done.labels(*model).set(time.time())
    gauge("drift_judged", "1 if something was compared with a reference.").labels(*model).set(
        result["judged"]
    )
    distance = gauge("drift_distance", "Distance of a column from the reference.", "kind", "name")
    bound = gauge("drift_bound", "Distance above which there is drift.", "kind", "name")
    missing = gauge("drift_missing_ratio", "Share of missing values.", "kind", "name")
    moved = gauge("drift_moved", "1 if there is drift.", "kind", "name")
    value = gauge("quality", "A metric on the labeled rows.", "name")
    on_reference = gauge("quality_reference", "The metric on the reference.", "name")
    for kind in ("inputs", "predictions", "quality"):
        for name, each in result[kind].items():
            name = reporting.printable(name)
            moved.labels(*model, kind, name).set(bool(each["moved"]))
            bound.labels(*model, kind, name).set(each["bound"])
            if kind == "quality":
                value.labels(*model, name).set(each["value"])
                on_reference.labels(*model, name).set(each["usually"])
                continue
            missing.labels(*model, kind, name).set(each["missing"])
            if each["distance"] is not None:
                distance.labels(*model, kind, name).set(each["distance"])
    return registry


def to_mlflow(result: DriftResult, artifacts: list[Path]) -> None:
    """Record one run per day, version and environment under the model's experiment."""
    tags, env = (
        {"drift": result["date"], "drift_version": str(result["version"])},
        settings().environment,
    )
    query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    values = {f"drift.{name}": result[name] for name in ("judged", "rows")}
    values["drift.moved"] = len(result["moved"])
    for kind in ("inputs", "predictions"):
        for name, each in result[kind].items():
            values[f"drift.{kind}.{name}"] = each["distance"]
            values[f"missing.{kind}.{name}"] = each["missing"]
    values |= {f"quality.{name}": each["value"] for name, each in result["quality"].items()}
    metrics = {name: float(value) for name, value in values.items() if value is not None}
    with tracking.connected() as client:
        experiment = tracking.experiment(client)
        runs = client.search_runs([experiment], query)
        existing = [
            str(run.info.run_id) for run in runs if run.data.tags.get("environment", "") == env
        ]
        name = f"drift {result['date']} {env}".rstrip()
        run = existing[0] if existing else tracking.create_run(client, name, {})
        tags |= {"environment": env} if env else {}
        for name, value in {**tracking.origin(), **tags}.items():
            client.set_tag(run, name, value)
        tracking.log(client, run, metrics)
        for path in filter(Path.exists, artifacts):
            client.log_artifact(run, str(path), "drift")
        client.set_terminated(run)


def page(result: DriftResult, reference: pd.DataFrame | None, current: pd.DataFrame) -> str:
    """Return the HTML page of a result, with a picture per column of the day and the reference."""
    pictures = []
    if reference is not None:
        moved = result["moved"]
        shown = [str(name) for name in current if name in reference]
        shown.sort(key=lambda name: not any(line.startswith(f"{name} ") for line in moved))
        pictures = [picture(name, reference[name], current[name]) for name in shown[:PICTURES]]
    return reporting.render("monitoring/drift.html.j2", result=result, pictures=pictures)


def picture(name: str, reference: Column, current: Column) -> str:
    """Return an SVG with the shares of the finite values in the reference and in the day."""

    def plot(axes: Axes) -> None:
        sides = {"reference": finite(reference).dropna(), "day": finite(current).dropna()}
        numbers = all(map(_is_number, sides.values()))
        if numbers and pd.concat(sides.values()).nunique() > BARS:
            values = {side: column.to_numpy(float) for side, column in sides.items()}
            edges = np.histogram_bin_edges(np.concatenate([*values.values()]), BINS)
            for side, column in values.items():
                weights = np.full(len(column), 1 / max(len(column), 1))
                axes.hist(column, edges.tolist(), weights=weights, alpha=0.5, label=side)
        else:
            shares = pd.DataFrame(
                {
                    side: (column if numbers else texts(column)).value_counts(normalize=True)
                    for side, column in sides.items()
                }
            ).fillna(0.0)
            shares = shares.loc[shares.sum(axis=1).nlargest(BARS).index].sort_index()
            positions = np.arange(len(shares))
            for offset, side in zip((-0.2, 0.2), sides, strict=True):
                axes.bar(positions + offset, shares[side].astype(float), 0.4, alpha=0.5, label=side)
            labels = [reporting.label(value, 12) for value in shares.index]
            axes.set_xticks(positions, labels, rotation=90)
        axes.legend(loc="upper right")

    return reporting.draw(name, (5, 3), plot)


def _is_number(column: Column) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
