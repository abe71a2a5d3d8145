"""Say where a registered version comes from."""

import json
from typing import Any

from . import tracking
from .errors import Problem
from .settings import settings

TAGS = ("git_sha", "data_digest", "model_digest", "gate", "engine", "engine_run")


def of(version: str) -> dict[str, Any]:
    """Give a version's origin, parameters, metrics and the gate's verdict."""
    name = settings().model_name
    with tracking.connected() as client:
        versions = [str(item.version) for item in client.search_model_versions(f"name = '{name}'")]
        if version not in versions:
            known = ", ".join(sorted(versions, key=int)) or "none"
            raise Problem(f"{name} has no version {version}; there are: {known}")
        found = client.get_model_version(name, version)
        run = client.get_run(found.run_id)
    return {
        "model": name,
        "version": version,
        "aliases": sorted(found.aliases),
        "run": found.run_id,
        **{tag: found.tags.get(tag, "") for tag in TAGS},
        "params": dict(sorted(run.data.params.items())),
        "metrics": dict(sorted(run.data.metrics.items())),
    }


def show(version: str, as_json: bool) -> None:
    """Print it, for people or as JSON."""
    found = of(version)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{name}:")
            print("\n".join(f"  {key:<48} {item}" for key, item in value.items()))
        else:
            print(f"{name:<14} {', '.join(value) if isinstance(value, list) else value}")
