"""What the API server would say of a manifest: the kinds that it knows, as schemas and as CRDs."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

Schema = dict[str, Any]

KUBERNETES = "1.34.0"
# The kinds of other projects, out of the Go modules that define them.
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
    """The modules are not to be had here."""


def crds(go: str) -> list[Schema]:
    """The definitions of the kinds that the chart uses, in Go's cache of modules.

    Raises:
        Unreachable: the Go module proxy did not give them.
    """
    command = [go, "mod", "download", "-json", *MODULES]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unreachable(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    # Kubeflow's module has none: here is what its own ask for.
    files = [Path(__file__).with_name("kubeflow.yaml")]
    for module in _stream(done.stdout):
        names = MODULES[f"{module['Path']}@{module['Version']}"]
        files += [Path(module["Dir"], name) for name in names]
    found = (each for file in files for each in yaml.load_all(file.read_text(), yaml.CSafeLoader))
    return [each for each in found if each]


def location(folder: Path, definitions: list[Schema]) -> str:
    """Write all schemas into `folder`; give where kubeconform finds that of a kind."""
    own = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    for file in (own / f"v{KUBERNETES}-local-strict").glob("*.json"):
        # They refer to each other as they would on the web; here, by the names of the files.
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
    """JSON Schema of an OpenAPI schema, which refuses fields that it does not know."""
    if isinstance(schema, list):
        return [_strict(each, False) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value, False) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    fields = schema.get("properties")
    known = isinstance(fields, dict) and not schema.get("x-kubernetes-preserve-unknown-fields")
    if known and schema.get("type") == "object" and (top or fields):
        made.setdefault("additionalProperties", False)
    if top:
        made["properties"]["metadata"] = {"type": "object"}
    return made


def _stream(text: str) -> Iterator[Schema]:
    """The JSON objects of a text that has one after the other."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].strip()
