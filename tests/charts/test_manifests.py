"""All objects that the chart renders, checked with tools and against standards."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import ENGINES, Form, helm
from schemas import Schema, location

# One worker renders all variants.
pytestmark = pytest.mark.xdist_group("manifests")

Values = dict[str, Any]
Pods = list[tuple[str, Values]]


def test_lint(every_form: list[Form], need: Callable[[str], str]) -> None:
    for form in every_form:
        done = helm(need("helm"), form, "lint", "--strict")
        assert done.returncode == 0, f"{form.name}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def conform(
    definitions: list[Schema], need: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[str]], str]:
    """Validate objects with the schemas of their kinds and return the errors."""
    place = location(tmp_path_factory.mktemp("schemas"), definitions)
    command = [need("kubeconform"), "-strict", "-schema-location", place]

    def run(objects: list[str]) -> str:
        text = "\n---\n".join(objects)
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run


def test_every_object_matches_its_schema(
    distinct: list[str], conform: Callable[[list[str]], str]
) -> None:
    assert conform(distinct) == ""


@pytest.mark.parametrize(
    ("kind", "path", "wrong"),
    [
        ("Deployment", ["spec", "template", "spec"], {"containerz": []}),
        ("NetworkPolicy", ["spec", "podSelector"], {"matchLabel": {}}),
        ("HTTPRoute", ["spec", "rules", 0, "backendRefs", 0], {"weight": 1_000_001}),
        ("HTTPRoute", ["spec", "rules", 0, "filters", 0], {"requestMiror": {}}),
        ("ServiceMonitor", ["spec"], {"endpoint": []}),
        ("PrometheusRule", ["spec", "groups", 0, "rules", 0], {"fore": "5m"}),
        ("ExternalSecret", ["spec"], {"refreshPolicy": "Sometimes"}),
        ("WorkflowTemplate", ["spec"], {"entrypoints": "DAG"}),
        ("PipelineVersion", ["spec"], {"pipelineSpecs": {}}),
    ],
)
def test_an_invalid_field_is_detected(
    distinct: list[str],
    conform: Callable[[list[str]], str],
    kind: str,
    path: list[str | int],
    wrong: Values,
) -> None:
    objects = [each for each in map(json.loads, distinct) if each["kind"] == kind]
    whole = max(objects, key=lambda each: len(json.dumps(each)))
    inner: Any = whole
    for step in path:
        inner = inner[step]
    inner |= wrong
    assert next(iter(wrong)) in conform([json.dumps(whole)])


@pytest.fixture(scope="session")
def dry_run(
    kubectl: Callable[..., subprocess.CompletedProcess[str]], namespace: str
) -> Callable[[list[str]], subprocess.CompletedProcess[str]]:
    """Apply objects to the API server in a dry run."""
    words = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-n", namespace]

    def run(objects: list[str]) -> subprocess.CompletedProcess[str]:
        return kubectl(*words, "-f", "-", stdin="\n---\n".join(objects))

    return run


def test_the_api_server_accepts_every_object(
    distinct: list[str], dry_run: Callable[[list[str]], subprocess.CompletedProcess[str]]
) -> None:
    done = dry_run(distinct)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(distinct)
    assert "Warning" not in done.stderr, "a pod is not restricted"


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("HTTPRoute", '"weight": 90', '"weight": -1', "weight"),
        ("HTTPRoute", '"percent": 50', '"percent": 101', "percent"),
        ("Deployment", '"drop": ["ALL"]', '"drop": []', "would violate PodSecurity"),
    ],
)
def test_the_api_server_rejects_an_invalid_object(
    distinct: list[str],
    dry_run: Callable[[list[str]], subprocess.CompletedProcess[str]],
    kind: str,
    old: str,
    new: str,
    message: str,
) -> None:
    wrong = [each for each in distinct if json.loads(each)["kind"] == kind and old in each]
    assert message in dry_run([wrong[0].replace(old, new)]).stderr


def test_checkov_finds_nothing(
    distinct: list[str], need: Callable[[str], str], tmp_path: Path
) -> None:
    """Checkov passes, except for the checks that checkov.yaml skips with a reason."""
    config = Path(__file__).with_name("checkov.yaml")
    file = tmp_path / "rendered.yaml"
    file.write_text("\n---\n".join(yaml.safe_dump(json.loads(each)) for each in distinct))
    command = [need("uv"), "tool", "run", "--from", "checkov>=3.3,<4", "checkov"]
    command += ["--config-file", str(config), "--file", str(file), "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    failed = {
        f"{each['check_id']} {each['check_name']}: {each['resource']}"
        for each in report["results"]["failed_checks"]
    }
    assert not failed
    assert report["summary"]["passed"] > 100
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def pods(distinct: list[str]) -> Pods:
    """Pod templates of all workloads, with the workload's kind and name."""
    templates = []
    for each in map(json.loads, distinct):
        if "template" in each.get("spec", {}):
            name = f"{each['kind']} {each['metadata']['name']}"
            templates.append((name, each["spec"]["template"]))
    return templates


def test_every_pod_is_restricted(pods: Pods) -> None:
    assert {name.split()[0] for name, _ in pods} >= {"Deployment", "Job"}
    for name, pod in pods:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"] + spec.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert {"requests", "limits"} == container["resources"].keys(), name
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]], name


def test_a_variant_renders_each_object_once(rendered: dict[str, set[str]]) -> None:
    """No two objects of a variant have the same API version, kind and name."""
    for name, objects in rendered.items():
        parsed = [json.loads(each) for each in objects]
        keys = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in parsed]
        assert len(set(keys)) == len(keys), name


def test_without_a_release_nothing_runs(rendered: dict[str, set[str]]) -> None:
    for name, objects in rendered.items():
        kinds = {json.loads(each)["kind"] for each in objects}
        if name.endswith("-nothing"):
            assert kinds <= {"NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"}, name
        elif "stream" in name:
            assert "Deployment" in kinds, name


@pytest.mark.parametrize("engine", ENGINES)
def test_components_that_are_off_have_no_objects(
    rendered: dict[str, set[str]], engine: str
) -> None:
    text = "\n".join(rendered[f"{engine}-none-staging-everything"])
    for word in ("late-flights-serve", "dashboard", "PrometheusRule", "HTTPRoute"):
        assert word not in text
    own = {"airflow": "", "argo": "WorkflowTemplate", "kubeflow": "PipelineVersion"}
    for other, kind in own.items():
        assert not kind or (kind in text) == (other == engine)


def test_the_model_type_does_not_change_the_chart(
    questions: dict[str, Values], render: Callable[..., Path], made: Callable[..., Path]
) -> None:
    """Therefore, the variants of the four engines cover all scenarios."""
    types = questions["model_type"]["choices"].values()
    repos = [render({"orchestrator": "argo", "model_type": name}) for name in types]
    first, *others = map(_deployed, [made("argo"), *repos])
    assert len(others) == 5
    assert others == [first] * 5


def _deployed(repo: Path) -> dict[Path, bytes]:
    """Return the files that determine the chart's objects."""
    folders = (repo / "deploy", repo / "orchestration")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(repo): path.read_bytes() for path in files}
