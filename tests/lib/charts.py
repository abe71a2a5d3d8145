"""All variants of the chart: each engine, with and without components, for each environment.

A scenario is an engine and a model type. No file of the chart depends on the model type, which a
test verifies.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Values = dict[str, Any]

ENGINES = ("airflow", "argo", "kubeflow", "temporal")
COMPONENTS = ("batch", "stream", "dashboard")
ENVIRONMENTS = ("staging", "prod")
# The engine's part of the chart and the components' parts are independent of each other.
CHOICES: list[tuple[str, tuple[str, ...]]] = [
    *((engine, chosen) for engine in ENGINES for chosen in (COMPONENTS, ())),
    *(("argo", (component,)) for component in COMPONENTS),
]


def image(name: str, digit: str = "0") -> Values:
    """Values of an image with a digest."""
    return {"repository": f"registry.example.com/team/{name}", "digest": "sha256:" + digit * 64}


def model(version: int) -> Values:
    """Values of a model version as a release records them."""
    return {"version": str(version), "digest": f"{version:x}" * 64}


RELEASE: Values = {
    "image": image("pipeline"),
    "serving": {"image": image("serve"), "model": model(3)},
    "dashboard": {"image": image("dashboard")},
}
# Every value that adds an object or a field.
EVERYTHING: Values = {
    "env": {"MLFLOW_TRACKING_URI": "https://mlflow.example.com"},
    "envFrom": ["dvc-remote"],
    "imagePullSecrets": ["registry"],
    "externalSecrets": {"dvc-remote": {"store": "vault", "key": "team/dvc"}},
    "suspend": True,
    "serviceAccount": {"annotations": {"iam.gke.io/gcp-service-account": "a@example.com"}},
    "labels": {"team": "flights"},
    "podAnnotations": {"sidecar.istio.io/inject": "false"},
    "nodeSelector": {"pool": "ml"},
    "tolerations": [{"key": "ml", "operator": "Exists"}],
    "engine": {
        "image": image("engine"),
        "env": {"TEMPORAL_ADDRESS": "temporal.example.com:7233"},
        "envFrom": ["engine"],
        "secretKeys": {"dvc-remote": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]},
    },
    "serving": {
        "maxReplicas": 4,
        "gpu": 1,
        "env": {"MLOPS_PREDICTION_LOG": "s3://predictions"},
        "envFrom": ["online-store"],
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/a"}},
        "allowFrom": {"gateway": {"namespaces": ["gateways"]}, "lan": {"cidrs": ["10.0.0.0/8"]}},
        "route": {
            "parentRefs": [{"name": "web", "namespace": "gateways", "sectionName": "https"}],
            "hostnames": ["late-flights.example.com"],
            "prefix": "/late-flights",
            "docs": True,
        },
        "challenger": model(4),
        "canary": {"weight": 10, "model": model(5), "image": image("serve", "5")},
        "shadow": {"percent": 50, "model": model(6)},
    },
    "dashboard": {"allowFrom": {"gateway": {"namespaces": ["gateways"]}}},
    "monitoring": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "pushgateway": "pushgateway.monitoring:9091",
    },
    "networkPolicy": {"egress": {"mlflow": {"ports": [5000], "namespaces": ["mlflow"]}}},
}
CASES: dict[str, tuple[Values, ...]] = {
    "nothing": (),
    "released": (RELEASE,),
    "everything": (RELEASE, EVERYTHING),
}


class Form(NamedTuple):
    """A chart's folder and its values files in helm's order: later ones take precedence."""

    name: str
    chart: Path
    values: list[Path]


def forms(made: Callable[..., Path], folder: Path) -> Iterator[Form]:
    """Yield each variant of the chart; the tests' own values files are written to `folder`.

    Environments with equal values yield one variant.
    """
    for engine, chosen in CHOICES:
        repo = made(engine, chosen)
        seen = set()
        for environment in ENVIRONMENTS:
            own = [repo / "deploy/envs" / environment / f"{x}.yaml" for x in ("values", "release")]
            files = [file for file in own if file.exists()]
            parsed = json.dumps([yaml.safe_load(file.read_text()) for file in files])
            if parsed in seen:
                continue
            seen.add(parsed)
            for case, values in CASES.items():
                extra = [_written(folder / f"{case}-{i}.json", x) for i, x in enumerate(values)]
                name = f"{engine}-{'+'.join(chosen) or 'none'}-{environment}-{case}"
                graph = repo / "orchestration/pipelines.json"
                yield Form(name, repo / "deploy/chart", [graph, *files, *extra])


def helm(tool: str, form: Form, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a helm command on a variant of the chart."""
    flags = [flag for file in form.values for flag in ("--values", str(file))]
    command = [tool, *words, str(form.chart), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def manifests(text: str) -> set[str]:
    """Objects of a rendered chart, each as JSON text: variants share most of them."""
    objects = yaml.load_all(text, yaml.CSafeLoader)
    return {json.dumps(each, sort_keys=True) for each in objects if each}


def _written(file: Path, values: Values) -> Path:
    file.write_text(json.dumps(values))
    return file
