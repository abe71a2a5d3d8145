"""Makes Kubeflow's recurring runs equal to pipelines.json; run at every deployment.

A recurring run starts one version of its pipeline, so a new version gets a new one. Environment:
KF_PIPELINES_ENDPOINT and what else Kubeflow's client reads; MLOPS_RELEASE, the prefix of its
pipelines and, with MLOPS_ENVIRONMENT, its experiment; MLOPS_VERSIONS, the version of each pipeline,
as JSON; MLOPS_SUSPEND, the pipelines that no schedule starts, true (all) or names with commas
between them; and where Kubeflow has many users, MLOPS_NAMESPACE.
"""

import json
import logging
import os
from contextlib import suppress
from typing import Any

from kfp import Client
from kfp_server_api import ApiException
from pipeline import REPO
from urllib3.exceptions import HTTPError


def schedules() -> dict[str, str]:
    """The cron line of each pipeline that has one."""
    file = json.loads((REPO / "orchestration/pipelines.json").read_text())
    return {name: each["schedule"] for name, each in file["pipelines"].items() if each["schedule"]}


def sync(client: Client, release: str, versions: dict[str, str], suspend: str) -> None:
    """Create the recurring runs that are missing, then delete those that are not wanted."""
    namespace, environment = (os.environ.get(f"MLOPS_{x}") for x in ("NAMESPACE", "ENVIRONMENT"))
    scope = f"{release}.{environment}" if environment else release
    experiment = client.create_experiment(scope, namespace=namespace).experiment_id
    found = _recurring(client, experiment)
    kept = set()
    for name, cron in schedules().items():
        held = suspend == "true" or name in suspend.split(",")
        wanted = versions[name], f"0 {cron}", "DISABLE" if held else "ENABLE"
        if same := [run for run in found if _is(run) == wanted]:
            kept.add(same[0].recurring_run_id)
            continue
        pipeline, version = _ids(client, f"{release}-{name}", versions[name])
        client.create_recurring_run(
            experiment,
            versions[name],
            cron_expression=f"0 {cron}",  # a field for the seconds before the five
            pipeline_id=pipeline,
            version_id=version,
            max_concurrency=1,
            no_catchup=True,
            params={"date": "[[ScheduledTime.2006-01-02T15:04:05Z]]"},
            enabled=not held,
        )
        print(f"{versions[name]}: {cron} (UTC)")
    if environment and schedules():
        # Of a release before 0.4.3. Kubeflow has versions that name this environment, so it serves
        # this one: a Kubeflow that knows the other's alone has ended this above.
        with suppress(ValueError):
            before = client.get_experiment(experiment_name=release, namespace=namespace)
            found += _recurring(client, before.experiment_id)
    for run in found:
        if run.recurring_run_id not in kept:
            client.delete_recurring_run(run.recurring_run_id)
            print(f"{run.display_name}: deleted")


def _recurring(client: Client, experiment: str) -> list[Any]:
    found = client.list_recurring_runs(experiment_id=experiment, page_size=100)
    return found.recurring_runs or []


def _is(run: Any) -> tuple[str, str, str]:
    cron = run.trigger.cron_schedule if run.trigger else None
    return run.display_name, cron.cron if cron else "", run.mode


def _ids(client: Client, pipeline: str, version: str) -> tuple[str, str]:
    """What Kubeflow calls them; it makes both ids itself.

    Raises:
        SystemExit: Kubeflow does not have them (yet).
    """
    if not (id := client.get_pipeline_id(pipeline)):
        raise SystemExit(f"Kubeflow has no pipeline {pipeline}: is it in Kubernetes-native mode?")
    chosen = json.dumps(
        {"predicates": [{"operation": 1, "key": "display_name", "stringValue": version}]}
    )
    versions = client.list_pipeline_versions(id, filter=chosen).pipeline_versions
    if not versions:
        raise SystemExit(f"Kubeflow has no version {version} of {pipeline} yet")
    return id, versions[0].pipeline_version_id


def main() -> None:
    """Bring the recurring runs of the Kubeflow that the environment names up to date."""
    logging.captureWarnings(True)
    if not (where := os.environ.get("KF_PIPELINES_ENDPOINT")):
        raise SystemExit(
            "KF_PIPELINES_ENDPOINT is not set: name Kubeflow's API in engine.env, such as"
            " http://ml-pipeline.kubeflow:8888"
        )
    try:
        versions = json.loads(os.environ["MLOPS_VERSIONS"])
        release, suspend = os.environ["MLOPS_RELEASE"], os.environ.get("MLOPS_SUSPEND", "")
    except KeyError as missing:
        raise SystemExit(f"{missing.args[0]} is not set: the chart's Job sets it") from None
    try:
        sync(Client(), release, versions, suspend)
    except (ApiException, HTTPError) as error:
        reason = getattr(error, "reason", error)
        raise SystemExit(f"no answer from Kubeflow's API at {where}: {reason}") from None


if __name__ == "__main__":
    main()
