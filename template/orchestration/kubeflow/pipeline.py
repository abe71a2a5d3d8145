"""Kubeflow's pipelines: one per pipeline in ../pipelines.json, with one task per stage.

`python orchestration/kubeflow/pipeline.py --image IMAGE --output DIR` compiles each of them to
DIR/<pipeline>.yaml. If Kubeflow Pipelines runs in Kubernetes-native mode, the chart contains the
same pipelines and their schedules (schedule.py). Otherwise, upload that file with
`kfp pipeline create` (the first version) or `create-version`, and set the schedule with
`kfp recurring-run create`, whose cron has a field for seconds before the five, with
`--max-concurrency 1 --no-catchup` and the parameter `date=[[ScheduledTime.2006-01-02T15:04:05Z]]`,
so that the date of each run is when it was due. To run for another day:
`kfp run create … date=2013-12-30`. In that case, batch inference uses the model that
`--env MLOPS_MODEL_VERSION=…` and `--env MLOPS_MODEL_DIGEST=…` name, as in a release, and the
champion without them. `--values deploy/envs/staging/values.yaml` configures pods as in the chart.
"""

import argparse
import json
import math
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler, dsl, kubernetes
from kfp.dsl.base_component import BaseComponent

REPO = Path(__file__).resolve().parents[2]
Stage = dict[str, Any]
Kind = Callable[[Stage, str, str], dsl.PipelineTask]
"""Adds the task of a stage, for a run's id and date, to the pipeline being built."""


def pipelines() -> dict[str, list[Stage]]:
    """Return the stages of each pipeline, in topological order."""
    file = json.loads((REPO / "orchestration/pipelines.json").read_text())
    return {name: pipeline["stages"] for name, pipeline in file["pipelines"].items()}


def build(name: str, stages: list[Stage], kind: Kind, run_id: str, backoff: str) -> BaseComponent:
    """Return the pipeline; a failed stage is retried up to `stage["retries"]` times."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["name"]

    @dsl.pipeline(name=f"{project}-{name}")  # type: ignore[untyped-decorator]
    def pipeline(date: str = "") -> None:
        tasks: dict[str, dsl.PipelineTask] = {}
        for stage in stages:
            task = kind(stage, run_id, date).after(*(tasks[need] for need in stage["needs"]))
            task.set_caching_options(False)  # DVC detects changes
            # No MLOPS_RUN_ROUND: Kubeflow only restarts failed stages, and a clone is another run.
            task.set_env_variable("MLOPS_ENGINE", "kubeflow")
            if stage["retries"]:
                # Kubeflow's own limit, one hour after the first attempt, may be too short.
                limit = (stage["retries"] + 1) * (stage["timeout"] + 3600)
                task.set_retry(
                    stage["retries"], backoff_duration=backoff, backoff_max_duration=f"{limit}s"
                )
            tasks[stage["id"]] = task

    return pipeline


def named(component: BaseComponent, stage: Stage) -> BaseComponent:
    """Return the component with the stage's id as its name, which the task gets too."""
    component.component_spec.name = stage["id"]
    return component


def place(task: dsl.PipelineTask, values: dict[str, Any]) -> None:
    """Apply the chart's values to the stage's pod."""
    for key, value in values.get("labels", {}).items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in values.get("podAnnotations", {}).items():
        kubernetes.add_pod_annotation(task, key, value)
    for key, value in values.get("nodeSelector", {}).items():
        kubernetes.add_node_selector(task, key, value)
    for each in values.get("tolerations", []):
        seconds = each.get("tolerationSeconds")
        others = {name: value for name, value in each.items() if name != "tolerationSeconds"}
        kubernetes.add_toleration(task, **others, toleration_seconds=seconds)
    policy = values.get("image", {}).get("pullPolicy", "IfNotPresent")
    kubernetes.set_image_pull_policy(task, policy)
    if secrets := values.get("imagePullSecrets"):
        kubernetes.set_image_pull_secrets(task, secrets)


def container(
    image: str,
    env: Iterable[str] = (),
    secrets: Iterable[str] = (),
    values: dict[str, Any] | None = None,
) -> Kind:
    """Return stages as containers of the pipeline image.

    `env` are NAME=VALUE, `secrets` are SECRET:KEY, where the key is also the name of the variable,
    and `values` are the chart's, for `place`.
    """

    def kind(stage: Stage, run_id: str, date: str) -> dsl.PipelineTask:
        def run(run_id: str, date: str) -> dsl.ContainerSpec:
            arguments = ["stage", stage["stage"], "--run-id", run_id, "--date", date]
            return dsl.ContainerSpec(image=image, command=["mlops"], args=arguments)

        # Kubeflow only replaces a placeholder that is the whole value of a task's input.
        task = named(dsl.container_component(run), stage)(run_id=run_id, date=date)
        cpu, memory = stage["resources"]["cpu"], stage["resources"]["memory"]
        task.set_cpu_request(cpu).set_cpu_limit(cpu)
        # As many threads as the stage has cores, not as the node has.
        cores = int(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)
        task.set_env_variable("OMP_NUM_THREADS", str(math.ceil(cores)))
        task.set_memory_request(memory).set_memory_limit(memory)
        if stage["gpu"]:
            task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(stage["gpu"])
        kubernetes.set_timeout(task, stage["timeout"])
        place(task, values or {})
        for variable in env:
            task.set_env_variable(*variable.split("=", 1))
        for secret in secrets:
            name, key = secret.split(":", 1)
            kubernetes.use_secret_as_env(task, name, {key: key})
        return task

    return kind


def main() -> None:
    """Compile the pipelines."""
    parser = argparse.ArgumentParser(description="Compile the pipelines for Kubeflow.")
    parser.add_argument("--image", required=True, help="pipeline image, with its digest")
    parser.add_argument("--output", required=True, type=Path, help="folder for the compiled files")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--secret", action="append", default=[], metavar="SECRET:KEY")
    parser.add_argument("--values", type=Path, help="values of the chart, as a YAML file")
    arguments = parser.parse_args()
    values = yaml.safe_load(arguments.values.read_text()) if arguments.values else {}
    for form, sign in (("env", "="), ("secret", ":")):
        for value in getattr(arguments, form):
            if sign not in value:
                parser.error(f"--{form} {value}: there is no {sign!r} in it")
    arguments.output.mkdir(parents=True, exist_ok=True)
    kind = container(arguments.image, arguments.env, arguments.secret, values)
    for name, stages in pipelines().items():
        graph = build(name, stages, kind, dsl.PIPELINE_JOB_ID_PLACEHOLDER, backoff="30s")
        compiler.Compiler().compile(graph, str(arguments.output / f"{name}.yaml"))
        print(arguments.output / f"{name}.yaml")


if __name__ == "__main__":
    main()
