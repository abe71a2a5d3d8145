"""Sync Kubeflow's recurring runs with pipelines.json; runs at every deployment.

A recurring run starts one version of its pipeline, so each new version gets a new one. Environment:
KF_PIPELINES_ENDPOINT and the other variables of Kubeflow's client; MLOPS_RELEASE, the prefix of the
pipelines and, with MLOPS_ENVIRONMENT, the name of the experiment; MLOPS_VERSIONS, the version of
each pipeline, as JSON; MLOPS_SUSPEND, the pipelines without a schedule: true (all) or a
comma-separated list; and MLOPS_NAMESPACE, if Kubeflow has several users.
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
    """Return the cron expression of each pipeline that has a schedule."""
    file = json.loads((REPO / "orchestration/pipelines.json").read_text())
    return {name: each["schedule"] for name, each in file["pipelines"].items() if each["schedule"]}


def sync(client: Client, release: str, versions: dict[str, str], suspend: str) -> None:
    """Create the missing recurring runs, then delete the obsolete ones."""
    namespace, environment = (os.environ.get(f"MLOPS_{x}") for x in ("NAMESPACE", "ENVIRONMENT"))
    scope = f"{release}.{environment}" if environment else release
    experiment = client.create_experiment(scope, namespace=namespace).experiment_id
    current = _recurring(client, experiment)
    kept = set()
    for name, cron in schedules().items():
        suspended = suspend == "true" or name in suspend.split(",")
        expected = versions[name], f"0 {cron}", "DISABLE" if suspended else "ENABLE"
        if same := [run for run in current if _is(run) == expected]:
            kept.add(same[0].recurring_run_id)
            continue
        pipeline, version = _ids(client, f"{release}-{name}", versions[name])
        client.create_recurring_run(
            experiment,
            versions[name],
            cron_expression=f"0 {cron}",  # seconds come before the five fields
            pipeline_id=pipeline,
            version_id=version,
            max_concurrency=1,
            no_catchup=True,
            params={"date": "[[ScheduledTime.2006-01-02T15:04:05Z]]"},
            enabled=not suspended,
        )
        print(f"{versions[name]}: {cron} (UTC)")
    if environment and schedules():
        # Recurring runs of releases before 0.4.3. This Kubeflow has versions that name this
        # environment, so it serves it; otherwise, the lookup above would have ended this.
        with suppress(ValueError):
            older = client.get_experiment(experiment_name=release, namespace=namespace)
            current += _recurring(client, older.experiment_id)
    for run in current:
        if run.recurring_run_id not in kept:
            client.delete_recurring_run(run.recurring_run_id)
            print(f"{run.display_name}: deleted")


def _recurring(client: Client, experiment: str) -> list[Any]:
    page = client.list_recurring_runs(experiment_id=experiment, page_size=100)
    return page.recurring_runs or []


def _is(run: Any) -> tuple[str, str, str]:
    cron = run.trigger.cron_schedule if run.trigger else None
    return run.display_name, cron.cron if cron else "", run.mode


def _ids(client: Client, pipeline: str, version: str) -> tuple[str, str]:
    """Return the ids that Kubeflow assigned to the pipeline and the version.

    Raises:
        SystemExit: Kubeflow does not have them (yet).
    """
    if not (id := client.get_pipeline_id(pipeline)):
        raise SystemExit(f"Kubeflow has no pipeline {pipeline}: is it in Kubernetes-native mode?")
    query = json.dumps(
        {"predicates": [{"operation": 1, "key": "display_name", "stringValue": version}]}
    )
    versions = client.list_pipeline_versions(id, filter=query).pipeline_versions
    if not versions:
        raise SystemExit(f"Kubeflow has no version {version} of {pipeline} yet")
    return id, versions[0].pipeline_version_id


def main() -> None:
    """Sync the recurring runs of the Kubeflow named in the environment."""
    logging.captureWarnings(True)
    if not (endpoint := os.environ.get("KF_PIPELINES_ENDPOINT")):
        raise SystemExit(
            "KF_PIPELINES_ENDPOINT is not set: set Kubeflow's API in engine.env, such as"
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
        raise SystemExit(f"no answer from Kubeflow's API at {endpoint}: {reason}") from None


if __name__ == "__main__":
    main()
