"""Where a comparison goes: an HTML page, Prometheus and MLflow."""

import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile

from . import files, report, tracking
from .errors import Problem
from .settings import settings
from .tables import finite, texts

TEXT = files.BATCH / "drift.prom"
PICTURES = 24
"""Columns that are drawn: those that moved first."""
BARS, BINS = 24, 30
"""A column of more different numbers than bars is drawn in bins."""

Column: TypeAlias = "pd.Series[Any]"

Found = dict[str, Any]


def to_prometheus(found: Found) -> None:
    """Push to $MLOPS_PUSHGATEWAY; else write TEXT, for the node exporter's textfile collector.

    Raises:
        Problem: the gateway does not take it.
    """
    registry = registered(found)
    address = os.environ.get("MLOPS_PUSHGATEWAY")
    if not address:
        TEXT.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(TEXT), registry)
        return
    # A push replaces what its group had: each environment has one of its own.
    group = {"environment": env} if (env := settings().environment) else {}
    try:
        push_to_gateway(address, job=found["name"], grouping_key=group, registry=registry)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: it is no address
        raise Problem(f"MLOPS_PUSHGATEWAY: {address} does not take the metrics: {error}") from None


def registered(found: Found) -> CollectorRegistry:
    """Return the gauges of a comparison, labelled with environment and model name."""
    registry, model = CollectorRegistry(), (settings().environment, found["name"])

    def gauge(name: str, about: str, *labels: str) -> Gauge:
        names = ["environment", "model", *labels]
        return Gauge(f"mlops_{name}", about, names, registry=registry)

    gauge("batch_rows", "Rows of the latest batch.").labels(*model).set(found["rows"])
    done = gauge("batch_timestamp_seconds", "When the latest batch was published.")
    done.labels(*model).set(time.time())
    gauge("drift_judged", "1 where something was compared with a reference.").labels(*model).set(
        found["judged"]
    )
    distance = gauge("drift_distance", "Of a column from the reference.", "kind", "name")
    bound = gauge("drift_bound", "Above it there is drift.", "kind", "name")
    missing = gauge("drift_missing_ratio", "Share of missing values.", "kind", "name")
    moved = gauge("drift_moved", "1 where there is drift.", "kind", "name")
    value = gauge("quality", "A metric of the labelled rows.", "name")
    usually = gauge("quality_reference", "The metric of the reference.", "name")
    for kind in ("inputs", "predictions", "quality"):
        for name, each in found[kind].items():
            name = report.printable(name)
            moved.labels(*model, kind, name).set(bool(each["moved"]))
            bound.labels(*model, kind, name).set(each["bound"])
            if kind == "quality":
                value.labels(*model, name).set(each["value"])
                usually.labels(*model, name).set(each["usually"])
                continue
            missing.labels(*model, kind, name).set(each["missing"])
            if each["distance"] is not None:
                distance.labels(*model, kind, name).set(each["distance"])
    return registry


def to_mlflow(found: Found, artifacts: list[Path]) -> None:
    """Record one run per day, version and environment under the model's experiment."""
    tags, env = (
        {"drift": found["date"], "drift_version": str(found["version"])},
        settings().environment,
    )
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    values = {f"drift.{name}": found[name] for name in ("judged", "rows")}
    values["drift.moved"] = len(found["moved"])
    for kind in ("inputs", "predictions"):
        for name, each in found[kind].items():
            values[f"drift.{kind}.{name}"] = each["distance"]
            values[f"missing.{kind}.{name}"] = each["missing"]
    values |= {f"quality.{name}": each["value"] for name, each in found["quality"].items()}
    metrics = {name: float(value) for name, value in values.items() if value is not None}
    with tracking.connected() as client:
        experiment = tracking.experiment(client)
        runs = client.search_runs([experiment], wanted)
        known = [
            str(run.info.run_id) for run in runs if run.data.tags.get("environment", "") == env
        ]
        name = f"drift {found['date']} {env}".rstrip()
        run = known[0] if known else tracking.create_run(client, name, {})
        tags |= {"environment": env} if env else {}
        for name, value in {**tracking.origin(), **tags}.items():
            client.set_tag(run, name, value)
        tracking.log(client, run, metrics)
        for path in filter(Path.exists, artifacts):
            client.log_artifact(run, str(path), "drift")
        client.set_terminated(run)


def page(found: Found, usual: pd.DataFrame | None, current: pd.DataFrame) -> str:
    """Return the page: what moved, and the columns of the day over those of the reference."""
    pictures = []
    if usual is not None:
        shown = [str(name) for name in current if name in usual]
        shown.sort(key=lambda name: not any(line.startswith(f"{name} ") for line in found["moved"]))
        pictures = [picture(name, usual[name], current[name]) for name in shown[:PICTURES]]
    return report.page("drift.html.j2", found=found, pictures=pictures)


def picture(name: str, usual: Column, current: Column) -> str:
    """Return an SVG: the shares of the finite values in the reference and in the day."""

    def plot(axes: Axes) -> None:
        sides = {"reference": finite(usual).dropna(), "day": finite(current).dropna()}
        numbers = all(map(_is_number, sides.values()))
        if numbers and pd.concat(sides.values()).nunique() > BARS:
            values = {side: column.to_numpy(float) for side, column in sides.items()}
            edges = np.histogram_bin_edges(np.concatenate([*values.values()]), BINS)
            for side, found in values.items():
                weights = np.full(len(found), 1 / max(len(found), 1))
                axes.hist(found, edges.tolist(), weights=weights, alpha=0.5, label=side)
        else:
            shares = pd.DataFrame(
                {
                    side: (column if numbers else texts(column)).value_counts(normalize=True)
                    for side, column in sides.items()
                }
            ).fillna(0.0)
            shares = shares.loc[shares.sum(axis=1).nlargest(BARS).index].sort_index()
            places = np.arange(len(shares))
            for place, side in zip((-0.2, 0.2), sides, strict=True):
                axes.bar(places + place, shares[side].astype(float), 0.4, alpha=0.5, label=side)
            labels = [report.label(value, 12) for value in shares.index]
            axes.set_xticks(places, labels, rotation=90)
        axes.legend(loc="upper right")

    return report.draw(name, (5, 3), plot)


def _is_number(column: Column) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
