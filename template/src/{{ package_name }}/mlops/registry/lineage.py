"""Where a registered version comes from, and the verdict with which it was registered.

A model can be judged again, with other bounds or on other rows, but its run keeps the parameters of
the first time. So each version stores its own verdict, with its bounds, parameters and metrics.
"""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files, params
from . import rules, tracking, versions
from .versions import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAGS = ("git_sha", "data_digest", "model_digest", "gate", "engine", "engine_run")
VERDICT = "verdict.json"


def keep(client: "MlflowClient", version: ModelVersion, verdict: dict[str, Any], card: str) -> None:
    """Store the verdict, its parameters and metrics, and the card in the version's run."""
    about = {
        "rules": verdict["rules"],
        "params": tracking.flat(params.recorded()),
        "metrics": tracking.flat(files.read_json(files.METRICS)),
    }
    with tempfile.TemporaryDirectory() as scratch:
        files.write_text(Path(scratch, VERDICT), json.dumps(about, default=str))
        files.write_text(Path(scratch, "model_card.md"), card)
        client.log_artifacts(version.tags["judged_in"], scratch, _folder(version))


def get(version: str) -> dict[str, Any]:
    """Return a version's origin, and the verdict's rules, parameters and metrics.

    A version of an older release has no rules; its parameters and metrics are those of its run.

    Raises:
        Problem: there is no such version.
    """
    registered = versions.get(version)
    with tracking.connected() as client:
        about = _about(client, registered)
    return {
        "model": registered.name,
        "version": version,
        "aliases": [*registered.aliases],
        "run": registered.run_id,
        **{tag: registered.tags.get(tag, "") for tag in TAGS},
        "dirty": registered.is_dirty,
        "rules": [{**rule, "margin": rules.margin(rule)} for rule in about["rules"]],
        # As text, because the run of a version of an older release has text.
        "params": {name: str(value) for name, value in sorted(about["params"].items())},
        "metrics": dict(sorted(about["metrics"].items())),
    }


def show(version: str, as_json: bool) -> None:
    """Print the lineage of a version, as text or as JSON."""
    lineage = get(version)
    if as_json:
        print(json.dumps(lineage, indent=2))
        return
    lineage["rules"] = {rule["rule"]: _rule_text(rule) for rule in lineage["rules"]}
    lineage["dirty"] = "the working tree had uncommitted changes" if lineage["dirty"] else "no"
    if not lineage["metrics"]:
        lineage["run"] += ", which was deleted in MLflow, together with the verdict"
    for name, value in lineage.items():
        if isinstance(value, dict):
            print(f"{name}:")
            print("\n".join(f"  {key:<48} {item}" for key, item in value.items()))
        else:
            print(f"{name:<14} {', '.join(value) if isinstance(value, list) else value}")


def _rule_text(rule: dict[str, Any]) -> str:
    return f"{rule['value']:.4f}, {rules.limits(rule)}: {rule['broken'] or 'kept'}"


def _folder(version: ModelVersion) -> str:
    return f"version-{version.number}"


def _about(client: "MlflowClient", version: ModelVersion) -> dict[str, Any]:
    """Return the verdict, parameters and metrics; all are empty if the run was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return _stored(version) if "judged_in" in version.tags else _from_run(client, version)
    except MlflowException as error:
        if not tracking.is_gone(error):
            raise
        return {"rules": [], "params": {}, "metrics": {}}


def _stored(version: ModelVersion) -> dict[str, Any]:
    import mlflow.artifacts

    uri = f"runs:/{version.tags['judged_in']}/{_folder(version)}/{VERDICT}"
    about: dict[str, Any] = json.loads(mlflow.artifacts.load_text(uri))
    return about


def _from_run(client: "MlflowClient", version: ModelVersion) -> dict[str, Any]:
    run = client.get_run(version.run_id).data
    # The bounds in the run may not be those that the version passed.
    parameters = {name: value for name, value in run.params.items() if not name.startswith("gate.")}
    return {"rules": [], "params": parameters, "metrics": run.metrics}
