"""Kubeflow's pipelines: one for each of ../pipelines.json, one task for each stage.

`python orchestration/kubeflow/pipeline.py --image IMAGE --output DIR` compiles each of them to
DIR/<pipeline>.yaml. Where Kubeflow Pipelines is in its Kubernetes-native mode, the chart brings the
same pipelines and their schedules (schedule.py). Elsewhere it takes that file with
`kfp pipeline create` (a first version) or `create-version`, and the schedule with
`kfp recurring-run create`, whose cron has a field for the seconds before the five, with
`--max-concurrency 1 --no-catchup` and the parameter `date=[[ScheduledTime.2006-01-02T15:04:05Z]]`,
so that each run has the day it was due. A run of another day, by hand:
`kfp run create … date=2013-12-30`. What the batch scores with there is what `--env` says of
MLOPS_MODEL_VERSION and MLOPS_MODEL_DIGEST, as a release names them; without them the champion.
`--values deploy/envs/staging/values.yaml` gives the stages the pods that the chart gives them.
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
"""Adds the task of a stage, for a run's id and date, to the pipeline that is being built."""


def pipelines() -> dict[str, list[Stage]]:
    """The stages of each pipeline, in topological order."""
    file = json.loads((REPO / "orchestration/pipelines.json").read_text())
    return {name: pipeline["stages"] for name, pipeline in file["pipelines"].items()}


def build(name: str, stages: list[Stage], kind: Kind, run_id: str, backoff: str) -> BaseComponent:
    """The pipeline; a stage that fails is tried again `stage["retries"]` times."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["name"]

    @dsl.pipeline(name=f"{project}-{name}")  # type: ignore[untyped-decorator]
    def pipeline(date: str = "") -> None:
        tasks: dict[str, dsl.PipelineTask] = {}
        for stage in stages:
            task = kind(stage, run_id, date).after(*(tasks[need] for need in stage["needs"]))
            task.set_caching_options(False)  # DVC knows what changed
            # No MLOPS_RUN_ROUND: Kubeflow starts again what failed, and a clone is another run.
            task.set_env_variable("MLOPS_ENGINE", "kubeflow")
            if stage["retries"]:
                # Kubeflow's own limit, an hour from the first try, is less than a stage may take.
                limit = (stage["retries"] + 1) * (stage["timeout"] + 3600)
                task.set_retry(
                    stage["retries"], backoff_duration=backoff, backoff_max_duration=f"{limit}s"
                )
            tasks[stage["id"]] = task

    return pipeline


def named(component: BaseComponent, stage: Stage) -> BaseComponent:
    """The component under the stage's id, which becomes its task's."""
    component.component_spec.name = stage["id"]
    return component


def place(task: dsl.PipelineTask, values: dict[str, Any]) -> None:
    """Set what the chart's values ask for on the stage's pod."""
    for key, value in values.get("labels", {}).items():
        kubernetes.add_pod_label(task, key, value)
    for key, value in values.get("podAnnotations", {}).items():
        kubernetes.add_pod_annotation(task, key, value)
    for key, value in values.get("nodeSelector", {}).items():
        kubernetes.add_node_selector(task, key, value)
    for each in values.get("tolerations", []):
        seconds = each.get("tolerationSeconds")
        known = {name: value for name, value in each.items() if name != "tolerationSeconds"}
        kubernetes.add_toleration(task, **known, toleration_seconds=seconds)
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
    """The stage as a container of the pipeline image.

    `env` are NAME=VALUE, `secrets` are SECRET:KEY, where the key is the variable's name too, and
    `values` are the chart's, of which `place` takes what it knows.
    """

    def kind(stage: Stage, run_id: str, date: str) -> dsl.PipelineTask:
        def run(run_id: str, date: str) -> dsl.ContainerSpec:
            arguments = ["stage", stage["stage"], "--run-id", run_id, "--date", date]
            return dsl.ContainerSpec(image=image, command=["mlops"], args=arguments)

        # Kubeflow fills in a placeholder that is the whole value of a task's input, and no other.
        task = named(dsl.container_component(run), stage)(run_id=run_id, date=date)
        cpu, memory = stage["resources"]["cpu"], stage["resources"]["memory"]
        task.set_cpu_request(cpu).set_cpu_limit(cpu)
        # As many threads as the stage has cores, and not as the node has.
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
    parser.add_argument("--image", required=True, help="the pipeline image, by digest")
    parser.add_argument("--output", required=True, type=Path, help="folder of the compiled files")
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
