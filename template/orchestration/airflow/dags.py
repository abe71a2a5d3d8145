"""Airflow's DAGs: one per pipeline in ../pipelines.json, with one task per stage.

Airflow reads this folder from git: a DAG bundle with `subdir: orchestration/airflow`. In a cluster,
the variable MLOPS_ENV of Airflow's processes, the same for all repos, names a folder of
deploy/envs/. The pipelines are then those in its release.yaml, if that has a graph. Each task is a
pod, whose image, variables and placement come from the chart's values in the commit that Airflow
runs; a pipeline listed in `suspend` has no schedule. Without MLOPS_ENV, tasks run in the repo's
.venv.
"""

import json
import os
import shlex
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable, Param

REPO = Path(__file__).resolve().parents[2]
PROJECT: str = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["name"]
# Labels of the pods of stages, for the chart's policies and for `kubectl --selector`.
LABELS = {
    "app.kubernetes.io/name": PROJECT,
    "app.kubernetes.io/instance": PROJECT,
    "app.kubernetes.io/component": "pipeline",
}
STARTUP = timedelta(minutes=15)  # to add a node and to pull an image
# The parameter of a manual run; otherwise when the run was due, also in a backfill.
DATE = "{{ params.date or dag_run.logical_date or '' }}"
# Clearing a task, also in a backfill, raises it, but a retry does not: cleared stages run again.
ROUND = "{{ dag_run.clear_number }}"
Stage = dict[str, Any]
Values = dict[str, Any]


def values() -> Values | None:
    """Return the chart's values for $MLOPS_ENV, merged as in Helm; None without MLOPS_ENV.

    The chart's release is named after the project, and its namespace after both it and the
    environment.
    """
    if not (name := os.environ.get("MLOPS_ENV")):
        return None
    chart: Values = {}
    folder = REPO / "deploy/envs" / name
    if not folder.is_dir():
        raise ValueError(f"MLOPS_ENV is {name!r}, but there is no folder deploy/envs/{name}")
    for file in (
        REPO / "deploy/chart/values.yaml",
        folder / "values.yaml",
        folder / "release.yaml",
    ):
        if file.exists():
            merge(chart, read(file))
    check(chart, folder)
    env = {**chart.get("env", {}), "MLOPS_ENVIRONMENT": name, **model_variables(chart)}
    if pushgateway := chart.get("monitoring", {}).get("pushgateway"):
        env["MLOPS_PUSHGATEWAY"] = pushgateway
    return chart | {"namespace": f"{PROJECT}-{name}", "env": env}


def read(file: Path) -> Values:
    """Return the values in a file; dates are strings, as in Helm."""
    import yaml

    class Loader(yaml.SafeLoader): ...

    Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_str)
    values: Values = yaml.load(file.read_text(), Loader) or {}
    return values


def merge(values: Values, others: Values) -> None:
    """Merge `others` into `values` as Helm does: recursively; null removes a key."""
    for key, value in others.items():
        if value is None:
            values.pop(key, None)
        elif isinstance(value, dict) and isinstance(values.get(key), dict):
            merge(values[key], value)
        else:
            values[key] = value


def check(chart: Values, folder: Path) -> None:
    """Raise a ValueError with one line if `make chart` would refuse the values."""
    import jsonschema

    schema = json.loads((REPO / "deploy/chart/values.schema.json").read_text())
    errors = jsonschema.Draft202012Validator(schema).iter_errors(chart)
    if error := jsonschema.exceptions.best_match(errors):
        where = ".".join(map(str, error.absolute_path)) or "the values"
        raise ValueError(f"deploy/envs/{folder.name}: {where}: {error.message}: see `make chart`")
    image = chart["image"]
    if (image.get("digest") or image.get("tag")) and not image.get("repository"):
        raise ValueError(f"deploy/envs/{folder.name}: image.repository is empty: say where it is")


def model_variables(chart: Values) -> dict[str, str]:
    """Return the variables by which `mlops production` finds and verifies the released model."""
    model = (chart.get("serving") or {}).get("model") or {}
    env = {f"MLOPS_MODEL_{key.upper()}": value for key, value in model.items() if value}
    return env if model.get("version") else {}


def local_task(stage: Stage) -> BaseOperator:
    """Return the task that runs the stage in the repo's environment."""
    return BashOperator(
        task_id=stage["id"],
        bash_command=f'exec "${{MLOPS_BIN:-.venv/bin}}/mlops" stage {shlex.quote(stage["stage"])} '
        '--run-id "$RUN_ID" --date "$RUN_DATE"',
        env={
            "MLOPS_ENGINE": "airflow",
            "MLOPS_RUN_ROUND": ROUND,
            "RUN_ID": "{{ run_id }}",
            "RUN_DATE": DATE,
        },
        append_env=True,
        cwd=str(REPO),
        do_xcom_push=False,
        retries=stage["retries"],
        retry_delay=timedelta(seconds=2),
        execution_timeout=timedelta(seconds=stage["timeout"]),
    )


def pod_task(stage: Stage, chart: Values) -> BaseOperator:
    """Return the task that runs the stage in a pod, within the restricted Pod Security Standard."""
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

    image = chart["image"]
    version = f"@{image['digest']}" if image.get("digest") else f":{image.get('tag')}"
    threads = {"resourceFieldRef": {"resource": "limits.cpu"}}
    resources = stage["resources"] | ({"nvidia.com/gpu": stage["gpu"]} if stage["gpu"] else {})
    container = {
        "name": "base",
        "env": [
            {"name": "MLOPS_ENGINE", "value": "airflow"},
            {"name": "MLOPS_RUN_ROUND", "value": ROUND},
            {"name": "OMP_NUM_THREADS", "valueFrom": threads},
            *({"name": key, "value": str(value)} for key, value in chart["env"].items()),
        ],
        "envFrom": [{"secretRef": {"name": name}} for name in chart.get("envFrom", [])],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    spec = {
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": chart.get("nodeSelector"),
        "tolerations": chart.get("tolerations"),
    }
    return KubernetesPodOperator(
        task_id=stage["id"],
        name=f"{PROJECT}-{stage['id']}",
        namespace=chart["namespace"],
        service_account_name=f"{PROJECT}-pipeline",
        automount_service_account_token=False,
        image=f"{image['repository']}{version}",
        image_pull_policy=image.get("pullPolicy"),
        arguments=["stage", stage["stage"], "--run-id", "{{ run_id }}", "--date", DATE],
        pod_template_dict={"apiVersion": "v1", "kind": "Pod", "spec": spec},
        log_events_on_failure=True,
        log_pod_spec_on_failure=False,
        container_name_log_prefix_enabled=False,
        labels=LABELS | chart.get("labels", {}),
        annotations=chart.get("podAnnotations", {}),
        startup_timeout_seconds=int(STARTUP.total_seconds()),
        active_deadline_seconds=stage["timeout"],
        retries=stage["retries"],
        retry_delay=timedelta(seconds=30),
        execution_timeout=timedelta(seconds=stage["timeout"]) + STARTUP,
    )


def dag(name: str, pipeline: dict[str, Any], chart: Values | None) -> DAG:
    """Return the DAG of one pipeline."""
    cron = pipeline["schedule"]
    with DAG(
        f"{PROJECT}-{name}",
        schedule=CronTriggerTimetable(cron, timezone="UTC") if cron else None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=chart is None,
        tags=[PROJECT, name],
        params={"date": Param("", type="string", description="a day, such as 2013-12-30")},
    ) as graph:
        tasks = {
            stage["id"]: pod_task(stage, chart) if chart else local_task(stage)
            for stage in pipeline["stages"]
        }
        for stage in pipeline["stages"]:
            tasks[stage["id"]].set_upstream([tasks[need] for need in stage["needs"]])
    return graph


def dags() -> dict[str, DAG]:
    """Return the DAGs by pipeline; Airflow registers each of them when it is created."""
    chart = values()
    if chart and not (chart["image"].get("digest") or chart["image"].get("tag")):
        return {}  # as in the chart: no pipelines without an image
    pipelines = json.loads((REPO / "orchestration/pipelines.json").read_text())["pipelines"]
    graph = (chart or {}).get("graph") or pipelines
    names = {**pipelines, **graph}
    suspend = (chart or {}).get("suspend") or []
    suspended = set(names if suspend is True else suspend)
    if unknown := ", ".join(sorted(suspended - set(names))):
        raise ValueError(f"suspend: there is no pipeline {unknown}, but {', '.join(names)}")
    for name in suspended & set(graph):  # only started by hand
        graph[name]["schedule"] = ""
    return {name: dag(name, pipeline, chart) for name, pipeline in graph.items()}


DAGS = dags()
