"""Schemas to validate manifests with, as the API server would: built-in kinds and CRDs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

Schema = dict[str, Any]

KUBERNETES = "1.34.0"
# Go modules that define the kinds of other projects, and the files with the definitions.
MODULES = {
    "github.com/argoproj/argo-workflows/v4@v4.0.5": [
        "manifests/base/crds/full/argoproj.io_cronworkflows.yaml",
        "manifests/base/crds/full/argoproj.io_workflowtemplates.yaml",
    ],
    "github.com/external-secrets/external-secrets@v1.3.2": [
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ],
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
    "sigs.k8s.io/gateway-api@v1.5.1": [
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ],
}


class Unreachable(Exception):
    """The Go modules cannot be downloaded."""


def crds(go: str) -> list[Schema]:
    """Definitions of the custom kinds that the chart uses, read from Go's module cache.

    Raises:
        Unreachable: the download from the Go module proxy failed.
    """
    command = [go, "mod", "download", "-json", *MODULES]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unreachable(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    # Kubeflow's module has no CRDs.
    files = [Path(__file__).with_name("kubeflow.yaml")]
    for module in _stream(done.stdout):
        names = MODULES[f"{module['Path']}@{module['Version']}"]
        files += [Path(module["Dir"], name) for name in names]
    texts = (file.read_text() for file in files)
    return [each for text in texts for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def location(folder: Path, definitions: list[Schema]) -> str:
    """Write all schemas to `folder` and return kubeconform's `-schema-location` for it."""
    own = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    for file in (own / f"v{KUBERNETES}-local-strict").glob("*.json"):
        # Their references are web addresses; replace them with file names.
        text = file.read_text().replace('"/api/_definitions.json#', '"_definitions.json#')
        schema = json.loads(text)
        schema.pop("$id", None)
        (folder / file.name).write_text(json.dumps(schema))
    for definition in definitions:
        kind, group = definition["spec"]["names"]["kind"], definition["spec"]["group"]
        for version in definition["spec"]["versions"]:
            schema = _strict(version["schema"]["openAPIV3Schema"])
            name = f"{kind}-{group.split('.')[0]}-{version['name']}.json".lower()
            (folder / name).write_text(json.dumps(schema))
    return f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def _strict(schema: Any, top: bool = True) -> Any:
    """Convert an OpenAPI schema to a JSON Schema that refuses unknown fields."""
    if isinstance(schema, list):
        return [_strict(each, False) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value, False) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
    fields = schema.get("properties")
    closed = isinstance(fields, dict) and not schema.get("x-kubernetes-preserve-unknown-fields")
    if closed and schema.get("type") == "object" and (top or fields):
        strict.setdefault("additionalProperties", False)
    if top:
        strict["properties"]["metadata"] = {"type": "object"}
    return strict


def _stream(text: str) -> Iterator[Schema]:
    """Yield the JSON objects of a text of concatenated objects."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].strip()
