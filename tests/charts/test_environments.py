"""The environments of a generated repo, rendered by `make chart`, kustomize and Argo CD."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

Values = dict[str, Any]
Make = Callable[..., subprocess.CompletedProcess[str]]

ENVIRONMENTS = ("staging", "prod")
IMAGE = {
    "image": {"repository": "registry.example.com/late-flights", "digest": f"sha256:{'0' * 64}"}
}


MODEL = {"version": "1", "digest": "0" * 64}
EVERYTHING = {
    **IMAGE,
    "engine": IMAGE,
    "serving": {
        **IMAGE,
        "model": MODEL,
        "maxReplicas": 9,
        "route": {"parentRefs": [{"name": "gateway"}]},
        "allowFrom": {"gateway": {"namespaces": ["gateway"]}},
    },
    "dashboard": IMAGE,
    "monitoring": {"enabled": True},
    "externalSecrets": {"dvc-remote": {"store": "vault", "key": "dvc"}},
}


@pytest.fixture(scope="module")
def fresh(render: Callable[..., Path], scenarios: dict[str, Any]) -> Path:
    return render(scenarios["argo-classification"])


@pytest.fixture
def repo(fresh: Path, tmp_path: Path) -> Path:
    """A repo with a release in prod only."""
    repo = shutil.copytree(fresh, tmp_path / "repo")
    (repo / "deploy/envs/prod/release.yaml").write_text(yaml.safe_dump(IMAGE))
    (repo / "deploy/envs/prod/values.yaml").write_text("env: {MLOPS_DVC_REMOTE: s3://dvc/prod}\n")
    return repo


@pytest.fixture
def make(repo: Path, need: Callable[[str], str]) -> Make:
    """Run `make chart` with some options of kubeconform; by default, it validates nothing."""
    need("helm")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        nothing = ["-schema-location", "nowhere/{{.ResourceKind}}.json", "-ignore-missing-schemas"]
        env = os.environ | {"KUBECONFORM": " ".join(options or nothing)}
        command = ["make", "chart"]
        return subprocess.run(
            command, cwd=repo, env=env, capture_output=True, text=True, check=False
        )

    return run


def objects(text: str) -> list[Values]:
    documents = [each for each in yaml.safe_load_all(text) if each]
    return sorted(documents, key=lambda each: (each["kind"], each["metadata"]["name"]))


def variables(rendered: list[Values]) -> dict[str, str]:
    """Return the variables with a literal value in a stage's pod."""
    workflows = (each for each in rendered if each["kind"] == "WorkflowTemplate")
    templates = (each["spec"]["templates"] for each in workflows)
    env = next(templates)[1]["container"]["env"]
    return {each["name"]: each["value"] for each in env if "value" in each}


def test_make_chart_renders_each_environments_release(repo: Path, make: Make) -> None:
    done = make()
    assert done.returncode == 0, done.stderr + done.stdout
    rendered = {env: objects((repo / f".chart/{env}.yaml").read_text()) for env in ENVIRONMENTS}
    kinds = {env: {each["kind"] for each in rendered[env]} for env in ENVIRONMENTS}
    assert "WorkflowTemplate" not in kinds["staging"]
    assert "WorkflowTemplate" in kinds["prod"]
    text = (repo / ".chart/prod.yaml").read_text()
    assert IMAGE["image"]["digest"] in text
    assert "s3://dvc/prod" in text
    assert variables(rendered["prod"])["MLOPS_ENVIRONMENT"] == "prod"
    for env in ENVIRONMENTS:
        assert f".chart/{env}.yaml: {len(rendered[env])} objects" in done.stdout


def test_merging_a_change_does_not_release_it(
    repo: Path, make: Make, need: Callable[[str], str]
) -> None:
    """Merged changes of the graph affect no environment, whichever tool renders it."""
    merged = json.loads((repo / "orchestration/pipelines.json").read_text())
    file = repo / "deploy/envs/prod/release.yaml"
    file.write_text(yaml.safe_dump({**IMAGE, "graph": merged["pipelines"]}))
    assert make().returncode == 0
    before = objects((repo / ".chart/prod.yaml").read_text())
    stages = merged["pipelines"]["training"]["stages"]
    stages.append(stages[-1] | {"id": "later", "stage": "later", "needs": ["register"]})
    del merged["pipelines"]["batch"]
    merged["pipelines"]["nightly"] = {"schedule": "0 1 * * *", "stages": stages}
    (repo / "orchestration/pipelines.json").write_text(json.dumps(merged))
    assert make().returncode == 0
    assert objects((repo / ".chart/prod.yaml").read_text()) == before
    options = ["--enable-helm", "--load-restrictor", "LoadRestrictionsNone"]
    command = [need("kustomize"), "build", *options, "deploy/envs/prod"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    assert objects(done.stdout) == before
    # An older release has no graph and uses the repo's.
    file.write_text(yaml.safe_dump(IMAGE))
    assert make().returncode == 0
    assert "late-flights-nightly" in (repo / ".chart/prod.yaml").read_text()


def test_staging_trains_and_prod_does_not(fresh: Path) -> None:
    files = {e: fresh / f"deploy/envs/{e}/values.yaml" for e in ENVIRONMENTS}
    values = {env: yaml.safe_load(file.read_text()) for env, file in files.items()}
    assert values == {"staging": None, "prod": {"suspend": ["training"]}}


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_an_environments_commented_examples_are_valid(
    fresh: Path, repo: Path, make: Make, env: str
) -> None:
    file = Path(f"deploy/envs/{env}/values.yaml")
    examples = re.sub(r"^# ( *\w+:( .*)?)$", r"\1", (fresh / file).read_text(), flags=re.M)
    (repo / file).write_text(examples)
    assert yaml.safe_load(examples).keys() >= {"env", "envFrom", "networkPolicy"}
    done = make()
    assert done.returncode == 0, done.stderr + done.stdout
    rendered = objects((repo / f".chart/{env}.yaml").read_text())
    assert "late-flights-to-mlflow" in {each["metadata"]["name"] for each in rendered}


def test_make_chart_refuses_a_typo(repo: Path, make: Make) -> None:
    (repo / "deploy/envs/staging/values.yaml").write_text("evn: {}\n")
    done = make()
    assert done.returncode != 0
    assert "evn" in done.stdout + done.stderr


def test_make_chart_validates_with_kubeconform(
    repo: Path, make: Make, need: Callable[[str], str], tmp_path: Path
) -> None:
    need("kubeconform")
    schema = {"properties": {"metadata": {"required": ["annotations"]}}}
    (tmp_path / "serviceaccount.json").write_text(json.dumps(schema))
    location = f"{tmp_path}/{{{{.ResourceKind}}}}.json"
    done = make("-ignore-missing-schemas", "-schema-location", f"'{location}'")
    assert done.returncode != 0
    assert "annotations" in done.stdout


class Schemas(BaseHTTPRequestHandler):
    """A server with a schema for every kind that allows anything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None: ...


def test_make_chart_works_offline_only_with_cached_schemas(
    repo: Path, make: Make, need: Callable[[str], str]
) -> None:
    need("kubeconform")
    with ThreadingHTTPServer(("127.0.0.1", 0), Schemas) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"'http://127.0.0.1:{server.server_port}/{{{{.ResourceKind}}}}.json'"
        options = ("-n", "16", "-summary", "-schema-location", place)
        fetched = make(*options)
        server.shutdown()
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    assert "Errors: 0" in fetched.stdout
    # The cached schemas are enough.
    assert make(*options).stdout == fetched.stdout
    shutil.rmtree(repo / ".chart")
    offline = make(*options)
    assert offline.returncode != 0
    *rendered, summary, last = offline.stdout.splitlines()
    assert [line.split(":")[0] for line in rendered] == [".chart/prod.yaml", ".chart/staging.yaml"]
    assert "Errors: 0" not in summary
    assert last.startswith("make chart: kubeconform cannot fetch schemas: ")


def test_make_chart_reports_that_helm_is_missing(repo: Path) -> None:
    env = os.environ | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(["make", "chart"], cwd=repo, env=env, capture_output=True, text=True)
    if done.returncode == 0:
        pytest.skip("helm is installed in /usr/bin or /bin")
    assert "make chart needs helm" in done.stdout


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_kustomize_renders_the_same_objects(
    repo: Path, make: Make, need: Callable[[str], str], env: str
) -> None:
    options = ["--enable-helm", "--load-restrictor", "LoadRestrictionsNone"]
    command = [need("kustomize"), "build", *options, f"deploy/envs/{env}"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert make().returncode == 0
    assert objects(done.stdout) == objects((repo / f".chart/{env}.yaml").read_text())


def test_kustomize_patches_are_applied(repo: Path, need: Callable[[str], str]) -> None:
    file = repo / "deploy/envs/prod/kustomization.yaml"
    patches = [
        {"target": {"kind": "ServiceAccount"}, "patch": '[{"op": "add", "path": "/x", "value": 1}]'}
    ]
    file.write_text(file.read_text() + yaml.safe_dump({"patches": patches}))
    options = ["--enable-helm", "--load-restrictor", "LoadRestrictionsNone"]
    command = [need("kustomize"), "build", *options, "deploy/envs/prod"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    patched = [each for each in objects(done.stdout) if each.get("x")]
    assert {each["kind"] for each in patched} == {"ServiceAccount"}


def test_argo_cd_uses_the_same_files_as_make_chart(repo: Path) -> None:
    (application_set,) = objects((repo / "deploy/argocd/applicationset.yaml").read_text())
    spec = application_set["spec"]
    environments = [each["env"] for each in spec["generators"][0]["list"]["elements"]]
    assert sorted(environments) == sorted(path.name for path in (repo / "deploy/envs").iterdir())
    source = spec["template"]["spec"]["source"]
    chart = repo / source["path"]
    assert (chart / "Chart.yaml").exists()
    assert source["helm"]["parameters"] == [
        {"name": "environment", "value": "{{ .env }}", "forceString": True}
    ]
    for env in environments:
        files = [file.replace("{{ .env }}", env) for file in source["helm"]["valueFiles"]]
        assert [(chart / file).resolve().relative_to(repo).as_posix() for file in files] == [
            "orchestration/pipelines.json",
            f"deploy/envs/{env}/values.yaml",
            f"deploy/envs/{env}/release.yaml",
        ]


@pytest.mark.parametrize("engine", ["airflow", "argo", "kubeflow", "temporal"])
def test_the_project_allows_only_the_kinds_of_the_chart(
    render: Callable[..., Path], need: Callable[[str], str], tmp_path: Path, engine: str
) -> None:
    repo = render({"orchestrator": engine})
    values = [repo / "orchestration/pipelines.json", tmp_path / "values.yaml"]
    values[1].write_text(yaml.safe_dump(EVERYTHING))
    command = [need("helm"), "template", "x", str(repo / "deploy/chart")]
    command += [word for file in values for word in ("--values", str(file))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rendered = {
        (each["apiVersion"].rpartition("/")[0], each["kind"]) for each in objects(done.stdout)
    }
    access = objects((repo / "deploy/argocd/access.yaml").read_text())
    (project,) = (each["spec"] for each in access if each["kind"] == "AppProject")
    listed = project["namespaceResourceWhitelist"]
    allowed = {(each["group"], each["kind"]) for each in listed}
    assert allowed == rendered | {("apps", "ReplicaSet"), ("", "Pod")}


def test_the_project_allows_nothing_outside_its_namespaces(repo: Path) -> None:
    access = objects((repo / "deploy/argocd/access.yaml").read_text())
    (project,) = (each["spec"] for each in access if each["kind"] == "AppProject")
    namespaces = {each["metadata"]["name"] for each in access if each["kind"] == "Namespace"}
    assert project["clusterResourceWhitelist"] == []
    assert {each["namespace"] for each in project["destinations"]} == namespaces
    assert not re.search(r"[*?]", str(project))
