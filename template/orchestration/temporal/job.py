"""A stage as a Kubernetes Job.

The worker's environment configures it: MLOPS_IMAGE (the pipeline image), MLOPS_NAMESPACE,
MLOPS_SERVICE_ACCOUNT, MLOPS_ENV (names of variables to pass on to the stage), MLOPS_SECRETS (names
of Secrets whose keys become variables; both are comma-separated) and MLOPS_POD (the chart's values
for the pods of stages, as JSON: metadata, spec, imagePullPolicy).
"""

import asyncio
import hashlib
import io
import json
import os
from collections import deque
from http import HTTPStatus
from typing import Any

from activities import TAIL, failure, meaning, pieces
from graph import Call
from kubernetes import client, config
from temporalio import activity
from urllib3.exceptions import HTTPError

POLL = 1.0


def manifest(call: Call, name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return the Job that runs the stage once, within the restricted Pod Security Standard."""
    stage, env = call.stage, os.environ
    values = json.loads(env.get("MLOPS_POD", "{}"))  # charts of earlier releases do not set it
    metadata = values.get("metadata", {})
    metadata["labels"] = metadata.get("labels", {}) | labels
    resources = dict(stage.resources)
    if stage.gpu:
        resources["nvidia.com/gpu"] = str(stage.gpu)
    passed = {n: env[n] for n in _list("MLOPS_ENV", "MLFLOW_TRACKING_URI") if n in env}
    container = {
        "name": "stage",
        "image": env["MLOPS_IMAGE"],
        "command": ["mlops", *call.arguments],
        "env": [
            {"name": key, "value": value}
            for key, value in {
                "MLOPS_ENGINE": "temporal",
                "MLOPS_RUN_ROUND": labels["mlops/run"],  # see activities._process
                **passed,
            }.items()
        ]
        # As many threads as the stage has cores, not as the node has.
        + [
            {
                "name": "OMP_NUM_THREADS",
                "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}},
            }
        ],
        "envFrom": [{"secretRef": {"name": secret}} for secret in _list("MLOPS_SECRETS")],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    if policy := values.get("imagePullPolicy"):
        container["imagePullPolicy"] = policy
    pod = values.get("spec", {}) | {
        "restartPolicy": "Never",
        "serviceAccountName": env.get("MLOPS_SERVICE_ACCOUNT", "default"),
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": metadata["labels"]},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": stage.timeout,
            "ttlSecondsAfterFinished": 86400,
            "template": {"metadata": metadata, "spec": pod},
        },
    }


async def run(call: Call) -> None:
    """Start the stage's Job, or attach to a running one, and follow it to its end."""
    starting = asyncio.create_task(asyncio.to_thread(_start, call))
    try:
        await _follow(call.stage.id, await asyncio.shield(starting))
    except asyncio.CancelledError:
        why = activity.cancellation_details()
        if why and why.cancel_requested:  # otherwise the next attempt attaches to the Job
            await asyncio.to_thread(_delete, await starting)
        raise


def _start(call: Call) -> str:
    """Return the name of a Job of this stage that has not failed; create one if there is none."""
    config.load_config()
    info = activity.info()
    labels = {
        "app.kubernetes.io/managed-by": "temporal",
        "mlops/pipeline": call.pipeline,
        "mlops/stage": call.stage.id,
        "mlops/run": str(info.workflow_run_id),
    }
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    key = f"{info.workflow_id}/{info.workflow_run_id}/{info.activity_id}/{info.attempt}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:10]
    name = f"{call.pipeline}-{call.stage.id}"[:50].rstrip("-") + f"-{digest}"
    jobs = client.BatchV1Api()
    try:
        for job in jobs.list_namespaced_job(_namespace(), label_selector=selector).items:
            if not job.metadata.deletion_timestamp and "Failed" not in _conditions(job):
                return str(job.metadata.name)
        jobs.create_namespaced_job(_namespace(), manifest(call, name, labels))
    except client.ApiException as error:
        if error.status != HTTPStatus.CONFLICT:
            raise failure(f"the cluster refused Job {name}: {error.body}") from error
    return name


async def _follow(stage: str, name: str) -> None:
    activity.logger.info("%s: kubectl logs -f -n %s job/%s", stage, _namespace(), name)
    state, tail = "", list[str]()
    while True:
        activity.heartbeat(name, state)
        try:
            job, pod = await asyncio.to_thread(_look, name)
        except (HTTPError, client.ApiException) as error:
            if isinstance(error, client.ApiException) and (error.status or 500) < 500:
                raise failure(f"Job {name}: {error.reason}") from error
            activity.logger.warning("%s: no answer about Job %s: %s", stage, name, error)
            await asyncio.sleep(POLL)
            continue
        if pod and (now := _state(pod)) != state:
            state = now
            activity.logger.info("%s: %s", stage, state)
        conditions = _conditions(job)
        if "Complete" in conditions:
            return
        if not tail and ("FailureTarget" in conditions or "Failed" in conditions):
            tail = await asyncio.to_thread(_tail, pod)  # past its deadline, the pod is deleted soon
        if "Failed" in conditions:
            code = _exit_code(pod)
            reason = state if code else f"{conditions['Failed']}, {state}"
            raise failure(f"Job {name}: {reason}", tail)
        await asyncio.sleep(POLL)


def _look(name: str) -> tuple[Any, Any | None]:
    """Return the Job and its pod."""
    job = client.BatchV1Api().read_namespaced_job(name, _namespace(), _request_timeout=10)
    pods = client.CoreV1Api().list_namespaced_pod(
        _namespace(), label_selector=f"batch.kubernetes.io/job-name={name}", _request_timeout=10
    )
    return job, pods.items[0] if pods.items else None


def _delete(name: str) -> None:
    try:
        client.BatchV1Api().delete_namespaced_job(
            name, _namespace(), propagation_policy="Background"
        )
    except client.ApiException as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


def _tail(pod: Any | None) -> list[str]:
    if not pod:
        return []
    try:
        log = client.CoreV1Api().read_namespaced_pod_log(
            pod.metadata.name, _namespace(), tail_lines=TAIL, _preload_content=False
        )  # preloaded content is the repr of all bytes
        tail = deque[str](maxlen=TAIL)
        log.auto_close = False  # the reader still reads after the end of the stream
        with io.TextIOWrapper(io.BufferedReader(log), "utf-8", "replace") as output:
            deque(pieces(output, tail), maxlen=0)
    except (HTTPError, client.ApiException) as error:
        return [f"(no log: {getattr(error, 'reason', error)})"]
    return list(tail)


def _conditions(job: Any) -> dict[str, str]:
    """Return the messages of the conditions that are true."""
    conditions = job.status.conditions or []
    return {c.type: c.message or c.reason or c.type for c in conditions if c.status == "True"}


def _state(pod: Any) -> str:
    """Return the state of the pod in one line, with the reason if it does not run."""
    for container in pod.status.container_statuses or []:
        if waiting := container.state.waiting:
            return f"{waiting.reason}: {waiting.message}" if waiting.message else waiting.reason
        if ended := container.state.terminated:
            return f"{ended.reason}, {meaning(ended.exit_code)}"
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"{condition.reason}: {condition.message}"
    return str(pod.status.phase)


def _exit_code(pod: Any | None) -> int | None:
    statuses = (pod.status.container_statuses or []) if pod else []
    codes = [s.state.terminated.exit_code for s in statuses if s.state.terminated]
    return codes[0] if codes else None


def _namespace() -> str:
    return os.environ.get("MLOPS_NAMESPACE", "default")


def _list(variable: str, default: str = "") -> list[str]:
    return [name for name in os.environ.get(variable, default).split(",") if name]
