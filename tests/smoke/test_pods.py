"""A stage's pod is the same on every engine and follows the chart's values."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from repos import Repo

Values = dict[str, Any]

VALUES: Values = {
    "image": {
        "repository": "registry.example.com/pipeline",
        "digest": f"sha256:{'0' * 64}",
        "pullPolicy": "Always",
    },
    "engine": {"image": {"repository": "registry.example.com/engine", "tag": "none"}},
    "serving": {"model": {"version": "3", "digest": "a" * 64}},
    "env": {"MLFLOW_TRACKING_URI": "http://mlflow"},
    "labels": {"team": "flights", "kueue.x-k8s.io/queue-name": "ml"},
    "podAnnotations": {"sidecar.istio.io/inject": "false"},
    "nodeSelector": {"pool": "ml"},
    "tolerations": [{"key": "ml", "operator": "Exists"}],
}
POD: Values = {
    "image": "@".join((VALUES["image"]["repository"], VALUES["image"]["digest"])),
    "imagePullPolicy": "Always",
    "env": {
        "MLFLOW_TRACKING_URI": "http://mlflow",
        "MLOPS_ENVIRONMENT": "staging",
        "MLOPS_MODEL_DIGEST": "a" * 64,
        "MLOPS_MODEL_VERSION": "3",
    },
    "labels": {
        "app.kubernetes.io/component": "pipeline",
        "app.kubernetes.io/instance": "late-flights",
        "app.kubernetes.io/name": "late-flights",
        **VALUES["labels"],
    },
    "annotations": VALUES["podAnnotations"],
    "nodeSelector": VALUES["nodeSelector"],
    "tolerations": VALUES["tolerations"],
    "resources": {"cpu": "2", "memory": "3Gi", "nvidia.com/gpu": "1"},
}
# Code that prints the pod's metadata and spec as JSON, from the engine's own representation.
CODE = {
    "airflow": """
import dags, json
from kubernetes.client import ApiClient
pod = dags.DAGS["training"].get_task("train").build_pod_request_obj(dry_run=True)
print(json.dumps(ApiClient().sanitize_for_serialization(pod)))
""",
    "temporal": """
import graph, job, json
[train] = [each for each in graph.pipelines()["training"].stages if each.id == "train"]
call = graph.Call("run", "training", train)
print(json.dumps(job.manifest(call, "train", {"mlops/run": "run"})["spec"]["template"]))
""",
}


class Stage:
    """The stage `train` in a copy of a repo with VALUES for staging."""

    def __init__(self, repo: Repo, folder: Path, helm: str) -> None:
        self.repo, self.folder = repo, folder
        for part in ("deploy", "orchestration"):
            shutil.copytree(repo.folder / part, folder / part)
        shutil.copy(repo.folder / "pyproject.toml", folder)
        graph = folder / "orchestration/pipelines.json"
        pipelines = json.loads(graph.read_text())
        [train] = [x for x in pipelines["pipelines"]["training"]["stages"] if x["id"] == "train"]
        train |= {"gpu": 1, "resources": {"cpu": "2", "memory": "3Gi"}}
        graph.write_text(json.dumps(pipelines))
        values = folder / "deploy/envs/staging/values.yaml"
        values.write_text(yaml.safe_dump(VALUES))
        command = [helm, "template", "late-flights", "deploy/chart"]
        command += ["-f", str(graph), "-f", str(values)]
        command += ["--set-string", "environment=staging"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        self.objects = [each for each in yaml.safe_load_all(done.stdout) if each]

    def rendered(self, kind: str, name: str) -> Values:
        """Return the chart's object of a kind whose name contains `name`."""
        match: Values
        [match] = [
            each
            for each in self.objects
            if each["kind"] == kind and name in each["metadata"]["name"]
        ]
        return match

    def computed(self, engine: str, **env: str) -> Values:
        """Return the pod that CODE prints in the engine's environment."""
        command = ["uv", "run", "--frozen", "--project", str(self.repo.folder)]
        done = subprocess.run(
            [*command, "--only-group", "orchestrator", "python", "-c", CODE[engine]],
            cwd=self.folder / "orchestration" / engine,
            env=self.repo.env
            | env
            | {"UV_PROJECT_ENVIRONMENT": str(self.repo.folder / ".venv-engine")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        pod: Values = json.loads(done.stdout.splitlines()[-1])
        return pod

    def argo(self) -> Values:
        """Return the pod of the WorkflowTemplate."""
        spec = self.rendered("WorkflowTemplate", "-training")["spec"]
        [train] = [each for each in spec["templates"] if each["name"] == "train"]
        return plain(spec["podMetadata"], spec, train["container"])

    def kubeflow(self) -> Values:
        """Return the pod of the PipelineVersion."""
        spec = self.rendered("PipelineVersion", "-training")["spec"]
        container = spec["pipelineSpec"]["deploymentSpec"]["executors"]["exec-train"]["container"]
        kubernetes = spec["platformSpec"]["platforms"]["kubernetes"]
        pod = kubernetes["deploymentSpec"]["executors"]["exec-train"]
        amounts = {
            bound: {
                "cpu": container["resources"][f"resourceCpu{bound}"],
                "memory": container["resources"][f"resourceMemory{bound}"],
            }
            for bound in ("Request", "Limit")
        }
        assert amounts["Request"] == amounts["Limit"]
        gpu = container["resources"]["accelerator"]
        amounts["Limit"][gpu["resourceType"]] = gpu["resourceCount"]
        return plain(
            pod["podMetadata"],
            pod | {"nodeSelector": pod["nodeSelector"]["labels"]},
            container
            | {
                "imagePullPolicy": pod["imagePullPolicy"],
                "resources": {"limits": amounts["Limit"]},
            },
        )

    def temporal(self) -> Values:
        """Return the pod of the Job that the chart's worker starts."""
        worker = self.rendered("Deployment", "-worker")["spec"]["template"]["spec"]
        env = {each["name"]: each["value"] for each in worker["containers"][0]["env"]}
        pod = self.computed("temporal", **env)
        return plain(pod["metadata"], pod["spec"], pod["spec"]["containers"][0])

    def airflow(self) -> Values:
        """Return the pod of the DAG's task."""
        pod = self.computed("airflow", MLOPS_ENV="staging", AIRFLOW_HOME=str(self.folder))
        return plain(pod["metadata"], pod["spec"], pod["spec"]["containers"][0])


def plain(metadata: Values, spec: Values, container: Values) -> Values:
    """Return the fields of a pod that VALUES and the graph determine, in the form of POD."""
    env = {each["name"]: each.get("value") for each in container["env"]}
    return {
        "image": container["image"],
        "imagePullPolicy": container["imagePullPolicy"],
        "env": {name: env.get(name) for name in POD["env"]},
        "labels": {name: metadata["labels"].get(name) for name in POD["labels"]},
        "annotations": metadata["annotations"],
        "nodeSelector": spec["nodeSelector"],
        "tolerations": spec["tolerations"],
        "resources": {name: str(x) for name, x in container["resources"]["limits"].items()},
    }


def test_a_stages_pod_follows_the_values(
    repo: Repo,
    scenario: dict[str, str],
    first: Callable[[str], bool],
    need: Callable[[str], str],
    tmp_path: Path,
) -> None:
    if not first("orchestrator"):
        pytest.skip("runs with another model type; the engine's code is the same")
    stage = Stage(repo, tmp_path, need("helm"))
    assert getattr(stage, scenario["orchestrator"])() == POD
