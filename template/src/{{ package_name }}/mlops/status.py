"""`mlops status`: what runs where, and what the registry and the batches say of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import registry, tracking
from .released import Base
from .settings import settings

COLUMNS = ("environment", "version", "gate", "age", "drift", "images")


def show(base: str, as_json: bool) -> None:
    """Print a line an environment, or all that is known as JSON."""
    here = Base.fetch(Path.cwd(), base)
    found = [_of(here, env) for env in settings().environments]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = [COLUMNS, *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _of(here: Base, env: str) -> dict[str, Any]:
    """What runs in an environment; None is what is not known, or is not there."""
    release, (commit, since) = here.release(env), next(here.history(env), ("", None))
    images = release.images().items()
    found: dict[str, Any] = {
        "environment": env,
        "commit": commit,
        "since": None,
        "images": {name: f"{its.repository}@{its.digest}" for name, its in images},
        "version": None,
        "model_digest": None,
        "gate": None,
        "dirty": None,
        "drift": None,
    }
    if since and release.values():
        found["since"] = since.isoformat()
    if model := release.serving.model:
        found |= {"version": model.version, "model_digest": model.digest}
        version = registry.versions().get(model.version)
        found["gate"] = version.tags.get("gate", "not reached") if version else "unknown version"
        found["dirty"] = registry.is_dirty(model.version)
        found["drift"] = _drift(model.version, env)
    return found


def _drift(version: str, env: str) -> dict[str, Any] | None:
    """The latest day that the environment compared with the version's reference, and what moved.

    Where it has compared none, the latest of a laptop or of an older platform, which name none.
    """
    with tracking.connected() as client:
        runs = client.search_runs(
            [tracking.experiment(client)],
            f"tags.drift_version = '{version}'",
            order_by=["tags.drift DESC"],
        )
    named = [(run.data.tags.get("environment", ""), run.data) for run in runs]
    found = [data for name in (env, "") for of, data in named if of == name]
    if not found:
        return None
    tags, metrics = found[0].tags, found[0].metrics
    judged = bool(metrics.get("drift.judged", 1))  # a comparison of an older platform has none
    return {"date": tags["drift"], "judged": judged, "moved": int(metrics["drift.moved"])}


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        found["environment"],
        f"{found['version'] or '-'}{' (dirty tree)' if found['dirty'] else ''}",
        found["gate"] or "-",
        _age(found["since"]),
        _said(found["drift"]),
        ", ".join(f"{name} {its[-64:][:12]}" for name, its in found["images"].items()) or "-",
    )


def _said(drift: dict[str, Any] | None) -> str:
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
