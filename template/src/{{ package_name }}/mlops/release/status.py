"""`mlops status`: what runs where, with its gate in the registry and the drift of its batches."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..registry import tracking, versions
from ..settings import settings
from .environments import Base, Environment

COLUMNS = ("environment", "version", "gate", "age", "drift", "images")


def show(base: str, as_json: bool) -> None:
    """Print one line per environment, or all details as JSON."""
    here = Base.fetch(Path.cwd(), base)
    statuses = [_status(here.environment(name)) for name in settings().environments]
    if as_json:
        print(json.dumps(statuses, indent=2))
        return
    rows = [COLUMNS, *map(_row, statuses)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _status(env: Environment) -> dict[str, Any]:
    """Return the status of an environment; None stands for what is unknown or missing."""
    release, (commit, since) = env.release(), next(env.history(), ("", None))
    images = release.images().items()
    status: dict[str, Any] = {
        "environment": env.name,
        "commit": commit,
        "since": None,
        "images": {name: f"{image.repository}@{image.digest}" for name, image in images},
        "version": None,
        "model_digest": None,
        "gate": None,
        "dirty": None,
        "drift": None,
    }
    if since and release.values():
        status["since"] = since.isoformat()
    if model := release.serving.model:
        status |= {"version": model.version, "model_digest": model.digest}
        version = versions.registered().get(model.version)
        status["gate"] = version.gate if version else "unknown version"
        status["dirty"] = bool(version and version.is_dirty)
        status["drift"] = _drift(model.version, env.name)
    return status


def _drift(version: str, env: str) -> dict[str, Any] | None:
    """Return the latest day that the environment compared with the version's reference.

    Without one, return the latest from a laptop or an older platform, which log no environment.
    """
    with tracking.connected() as client:
        runs = client.search_runs(
            [tracking.experiment(client)],
            f"tags.drift_version = '{version}'",
            order_by=["tags.drift DESC"],
        )
    named = [(run.data.tags.get("environment", ""), run.data) for run in runs]
    matching = [data for name in (env, "") for where, data in named if where == name]
    if not matching:
        return None
    tags, metrics = matching[0].tags, matching[0].metrics
    judged = bool(metrics.get("drift.judged", 1))  # older platforms do not log it
    return {"date": tags["drift"], "judged": judged, "moved": int(metrics["drift.moved"])}


def _row(status: dict[str, Any]) -> tuple[str, ...]:
    return (
        status["environment"],
        f"{status['version'] or '-'}{' (dirty tree)' if status['dirty'] else ''}",
        status["gate"] or "-",
        _age(status["since"]),
        _drift_text(status["drift"]),
        ", ".join(f"{name} {image[-64:][:12]}" for name, image in status["images"].items()) or "-",
    )


def _drift_text(drift: dict[str, Any] | None) -> str:
    if not drift:
        return "-"
    return f"{(drift['moved'] or 'none') if drift['judged'] else 'not judged'} on {drift['date']}"


def _age(since: str | None) -> str:
    if not since:
        return "-"
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
