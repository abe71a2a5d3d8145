"""Where a registered version comes from, and the verdict that it was registered by.

A model can be judged again, by other bounds or on other rows, while its run has the parameters of
its first day. So each version keeps its verdict, with the bounds, parameters and metrics of then.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from . import files, gate, params, tracking
from .commit import DIRTY
from .errors import Problem
from .settings import settings

TAGS = ("git_sha", "data_digest", "model_digest", "gate", "engine", "engine_run")
VERDICT = "verdict.json"


def keep(client: Any, version: Any, verdict: dict[str, Any], card: str) -> None:
    """Keep the verdict of now, what it was reached by, and the card in the version's run."""
    about = {
        "rules": verdict["rules"],
        "params": tracking.flat(params.recorded()),
        "metrics": tracking.flat(files.read_json(files.METRICS)),
    }
    with tempfile.TemporaryDirectory() as scratch:
        files.write_text(Path(scratch, VERDICT), json.dumps(about, default=str))
        files.write_text(Path(scratch, "model_card.md"), card)
        client.log_artifacts(version.tags["judged_in"], scratch, _folder(version))


def of(version: str) -> dict[str, Any]:
    """Return a version's origin, and the verdict's rules, parameters and metrics.

    A version of an older release has no rules; its parameters and metrics are its run's.
    """
    name = settings().model_name
    with tracking.connected() as client:
        versions = [str(item.version) for item in client.search_model_versions(f"name = '{name}'")]
        if version not in versions:
            known = ", ".join(sorted(versions, key=int)) or "none"
            raise Problem(f"{name} has no version {version}; there are: {known}")
        found = client.get_model_version(name, version)
        about = _about(client, found)
    return {
        "model": name,
        "version": version,
        "aliases": sorted(found.aliases),
        "run": found.run_id,
        **{tag: found.tags.get(tag, "") for tag in TAGS},
        "dirty": found.tags.get("git_sha", "").endswith(DIRTY),
        "rules": [{**rule, "margin": gate.margin(rule)} for rule in about["rules"]],
        # As text, as in the run of a version of an older release.
        "params": {name: str(value) for name, value in sorted(about["params"].items())},
        "metrics": dict(sorted(about["metrics"].items())),
    }


def show(version: str, as_json: bool) -> None:
    """Print it, for people or as JSON."""
    found = of(version)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    found["rules"] = {rule["rule"]: _said(rule) for rule in found["rules"]}
    found["dirty"] = "the tree had changes that no commit holds" if found["dirty"] else "no"
    if not found["metrics"]:
        found["run"] += ", which is deleted in MLflow, and with it the verdict"
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{name}:")
            print("\n".join(f"  {key:<48} {item}" for key, item in value.items()))
        else:
            print(f"{name:<14} {', '.join(value) if isinstance(value, list) else value}")


def _said(rule: dict[str, Any]) -> str:
    return f"{rule['value']:.4f}, {gate.limits(rule)}: {rule['broken'] or 'kept'}"


def _folder(version: Any) -> str:
    return f"version-{version.version}"


def _about(client: Any, version: Any) -> dict[str, Any]:
    """Return the verdict, parameters and metrics; all empty where somebody deleted the run."""
    from mlflow.exceptions import MlflowException

    try:
        return _kept(version) if "judged_in" in version.tags else _of_run(client, version)
    except MlflowException as error:
        if not tracking.is_gone(error):
            raise
        return {"rules": [], "params": {}, "metrics": {}}


def _kept(version: Any) -> dict[str, Any]:
    import mlflow.artifacts

    where = f"runs:/{version.tags['judged_in']}/{_folder(version)}/{VERDICT}"
    about: dict[str, Any] = json.loads(mlflow.artifacts.load_text(where))
    return about


def _of_run(client: Any, version: Any) -> dict[str, Any]:
    run = client.get_run(version.run_id).data
    # Its bounds may be others than those that the version passed by.
    shaped = {name: value for name, value in run.params.items() if not name.startswith("gate.")}
    return {"rules": [], "params": shaped, "metrics": run.metrics}
