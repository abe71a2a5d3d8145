"""Where a comparison goes: an HTML page, Prometheus and MLflow."""

import io
import os
import time
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, write_to_textfile

from . import files, report, tracking
from .errors import Problem
from .settings import settings

TEXT = files.BATCH / "drift.prom"
PICTURES = 24
"""Columns that are drawn: those that moved first."""

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
    except OSError as error:
        raise Problem(f"MLOPS_PUSHGATEWAY: {address} does not take the metrics: {error}") from None


def registered(found: Found) -> CollectorRegistry:
    """Give the gauges of a comparison, each labelled by the environment and the model's name."""
    registry, model = CollectorRegistry(), (settings().environment, found["name"])

    def gauge(name: str, about: str, *labels: str) -> Gauge:
        names = ["environment", "model", *labels]
        return Gauge(f"mlops_{name}", about, names, registry=registry)

    gauge("batch_rows", "Rows of the latest batch.").labels(*model).set(found["rows"])
    done = gauge("batch_timestamp_seconds", "When the latest batch was published.")
    done.labels(*model).set(time.time())
    gauge("drift_judged", "1 where something was held against a reference.").labels(*model).set(
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
    metrics = [tracking.metric(name, value) for name, value in values.items() if value is not None]
    with tracking.connected() as client:
        experiment = tracking.experiment(client)
        runs = client.search_runs([experiment], wanted)
        runs = [run for run in runs if run.data.tags.get("environment", "") == env]
        name = f"drift {found['date']} {env}".rstrip()
        run = runs[0] if runs else client.create_run(experiment, run_name=name)
        tags |= {"environment": env} if env else {}
        for name, value in {**tracking.origin(), **tags}.items():
            client.set_tag(run.info.run_id, name, value)
        tracking.log(client, run.info.run_id, metrics)
        for path in artifacts:
            client.log_artifact(run.info.run_id, str(path), "drift")
        client.set_terminated(run.info.run_id)


def page(found: Found, usual: pd.DataFrame | None, current: pd.DataFrame) -> str:
    """Give the page: what moved, and the columns of the day over those of the reference."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    pictures = []
    if usual is not None:
        shown = [str(name) for name in current if name in usual]
        shown.sort(key=lambda name: not any(line.startswith(f"{name} ") for line in found["moved"]))
        pictures = [picture(name, usual[name], current[name]) for name in shown[:PICTURES]]
    return environment.get_template("drift.html.j2").render(found=found, pictures=pictures)


def picture(name: str, usual: "pd.Series[Any]", current: "pd.Series[Any]") -> str:
    """Give an SVG: the shares of the values in the reference and in the day."""
    sides = {"reference": usual.dropna(), "day": current.dropna()}
    numbers = all(map(pd.api.types.is_float_dtype, (usual, current)))
    with mpl.rc_context(report.STYLE):
        figure = Figure(figsize=(5, 3), layout="constrained")
        axes = figure.subplots()
        if numbers and all(map(len, sides.values())):
            both = pd.concat(sides.values())
            edges = pd.cut(both, 30, retbins=True)[1]
            for side, values in sides.items():
                weights = [1 / len(values)] * len(values)
                axes.hist(values, edges, weights=weights, alpha=0.5, label=side)
        else:
            shares = pd.DataFrame(
                {
                    side: values.astype(str).value_counts(normalize=True)
                    for side, values in sides.items()
                }
            ).fillna(0)
            shares = shares.nlargest(20, ["reference", "day"]).sort_index()
            places = range(len(shares))
            axes.bar(
                [p - 0.2 for p in places], shares["reference"], 0.4, alpha=0.5, label="reference"
            )
            axes.bar([p + 0.2 for p in places], shares["day"], 0.4, alpha=0.5, label="day")
            axes.set_xticks([*places], [label[:12] for label in shares.index], rotation=90)
        axes.set_title(name)
        axes.legend(loc="upper right")
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    return svg[svg.index("<svg") :]
