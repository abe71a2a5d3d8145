"""The images of a generated repo as pods, without root and with a read-only root filesystem."""

import hashlib
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kube import SECRET, TARGETS, Namespace, Values, command, nobodys, wait
from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.xdist_group("cluster")

# Prints a request and the service's response, computed with the laptop's libraries.
ANSWER = """
import json, sys
from fastapi.testclient import TestClient
from late_flights.mlops.serving import app
from late_flights.schema import EXAMPLE
body = {"rows": [EXAMPLE]}
with TestClient(app.create()) as client:
    print(json.dumps([body, client.post("/v1/predict", json=body).json()]))
"""

CELL = """
import nbclient, nbformat
cell = nbformat.v4.new_code_cell("from late_flights import model; print(len(model.INPUTS))")
book = nbformat.v4.new_notebook(cells=[cell])
nbclient.NotebookClient(book).execute()
print(book.cells[0].outputs[0].text)
"""

Pod = Callable[..., str]
Loaded = Callable[[str], str]


@pytest.fixture(scope="module")
def model(laptop: Path, mlflow: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Register the laptop's model and return a folder with it, fetched as in a pod."""
    folder = tmp_path_factory.mktemp("model") / "current"
    env = os.environ | {"MLFLOW_TRACKING_URI": mlflow}
    for words in (["register"], ["production", "--to", str(folder)]):
        subprocess.run([laptop / ".venv/bin/mlops", *words], cwd=laptop, env=env, check=True)
    return folder


@pytest.fixture
def pod(namespace: Namespace, mlflow: str) -> Iterator[Pod]:
    """Start a pod, wait until it is ready and return its address."""
    names = []

    def run(name: str, *containers: Values, init: Values | None = None, ready: bool = True) -> str:
        names.append(name)
        definition = manifest(name, [*containers], [init] if init else [], mlflow)
        namespace.kubectl("create", "-f", "-", stdin=json.dumps(definition))
        if not ready:
            return ""
        wait = ["wait", f"pod/{name}", "--for=condition=Ready", "--timeout=180s"]
        done = subprocess.run(["kubectl", "-n", namespace.name, *wait], check=False)
        if done.returncode:
            log = ["logs", name, "--all-containers", "--prefix"]
            pytest.fail(namespace.kubectl("describe", "pod", name) + namespace.kubectl(*log))
        return namespace.kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}")

    yield run
    for name in names:
        namespace.kubectl("delete", "pod", name, "--wait=false", "--ignore-not-found")


def manifest(name: str, containers: list[Values], init: list[Values], mlflow: str) -> Values:
    """Return a pod that meets the restricted standard; its user is set by the images alone."""
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "model", "mountPath": "/model"}]
    rights = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    env = [{"name": "MLFLOW_TRACKING_URI", "value": mlflow}]
    for each in containers + init:
        each.setdefault("name", name)
        own = [{"name": key, "value": value} for key, value in each.get("env", {}).items()]
        each |= {"env": env + own, "volumeMounts": mounts}
        each.setdefault("securityContext", rights)
    spec = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": one["name"], "emptyDir": {}} for one in mounts],
        "containers": containers,
        "initContainers": init,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def probe(path: str, port: int) -> Values:
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, "failureThreshold": 120}


def fetch(image: str, **env: str) -> Values:
    """Return the init container of a service."""
    args = ["production", "--to", "/model/current"]
    return {"name": "fetch", "image": image, "args": args, "env": env}


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data)) as response:
        return json.load(response)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_and_is_labeled(
    images: dict[str, str], checkout: Path, git: Callable[..., str], target: str
) -> None:
    text = nobodys(images[target], git(checkout, "rev-parse", "HEAD").strip())
    assert '"org.opencontainers.image.source": "https://example.com/late-flights.git"' in text
    # Neither unused build arguments nor the password of the remote's URL are in the image.
    assert SECRET not in text
    assert "UV_DEFAULT_INDEX" not in text


def test_the_service_responds_as_on_the_laptop(
    loaded: Loaded, laptop: Path, model: Path, pod: Pod, namespace: Namespace
) -> None:
    about = json.loads((model / "about.json").read_text())
    release = {
        "MLOPS_MODEL_VERSION": str(about["version"]),
        "MLOPS_MODEL_DIGEST": about["model_digest"],
    }
    serve = {
        "image": loaded("serve"),
        "args": ["serve", "--port", "8000"],
        "env": {"MLOPS_MODEL": "/model/current", **release},
        "readinessProbe": probe("/readyz", 8000),
    }
    address = pod("serve", serve, init=fetch(loaded("serve"), **release))
    python = str(laptop / ".venv/bin/python")
    local = subprocess.run(
        [python, "-c", ANSWER],
        cwd=laptop,
        env=os.environ | {"MLOPS_MODEL": str(model)},
        stdout=subprocess.PIPE,
        check=True,
    )
    body, expected = json.loads(local.stdout)
    assert expected["model"]["digest"] == about["model_digest"]
    assert expected["predictions"]
    assert ask(f"http://{address}:8000/v1/predict", body) == expected
    shell = ["exec", "serve", "--", "sh", "-c"]
    assert namespace.kubectl(*shell, "id -u").strip() == "65532"
    with pytest.raises(AssertionError, match="Read-only file system"):
        namespace.kubectl(*shell, "touch /app/new")
    with pytest.raises(AssertionError, match="No module named 'dvc'"):
        namespace.kubectl("exec", "serve", "--", "python", "-c", "import dvc")


def test_the_init_container_refuses_another_digest(
    loaded: Loaded, model: Path, pod: Pod, namespace: Namespace
) -> None:
    wrong = fetch(loaded("serve"), MLOPS_MODEL_DIGEST="0" * 64)
    serve = {"image": loaded("serve"), "args": ["serve"]}
    pod("refused", serve, init=wrong, ready=False)
    namespace.kubectl("wait", "pod/refused", "--for=jsonpath={.status.phase}=Failed")
    assert f", not {'0' * 64}" in namespace.kubectl("logs", "refused", "-c", "fetch")


def test_root_is_refused(loaded: Loaded, pod: Pod) -> None:
    root = {"image": loaded("serve"), "securityContext": {"runAsUser": 0}}
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        pod("root", root, ready=False)


def test_the_dashboard_shows_and_explains_the_model(
    loaded: Loaded, model: Path, pod: Pod, need: Callable[[str], str]
) -> None:
    dashboard = {
        "image": loaded("dashboard"),
        "args": ["dashboard", "--port", "8501"],
        "readinessProbe": probe("/_stcore/health", 8501),
    }
    address = pod("dashboard", dashboard)
    expect.set_options(timeout=120_000)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=need("chromium"))
        page = browser.new_page()
        for name in ("versions", "explain"):
            page.goto(f"http://{address}:8501/{name}")
            expect(page.get_by_test_id("stMetric").first).to_be_visible()
        expect(page.get_by_text("as it was")).to_be_visible()
        browser.close()


def test_notebooks_run_behind_a_platform_and_standalone(
    loaded: Loaded, pod: Pod, namespace: Namespace
) -> None:
    prefix = "/notebook/team/explore"
    kubeflow = {
        "image": loaded("notebook"),
        "env": {"NB_PREFIX": prefix},
        "readinessProbe": probe(f"{prefix}/api", 8888),
    }
    alone = {
        "name": "alone",
        "image": loaded("notebook"),
        "args": ["jupyter", "lab", "--port=8889"],
        "readinessProbe": probe("/api", 8889),
    }
    address = pod("notebook", kubeflow, alone)
    inside = "api/contents/notebooks/explore.ipynb"
    assert ask(f"http://{address}:8888{prefix}/{inside}")["writable"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(f"http://{address}:8889/{inside}")
    output = namespace.kubectl("exec", "notebook", "-c", "notebook", "--", "python", "-c", CELL)
    assert int(output) > 0
    hub = ["exec", "notebook", "-c", "notebook", "--", "jupyterhub-singleuser", "--version"]
    assert namespace.kubectl(*hub).startswith("5.")


@pytest.fixture
def registry(need: Callable[[str], str], tmp_path: Path) -> Iterator[str]:
    """Address of an image registry without TLS."""
    program = need("docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    config, log = tmp_path / "registry.json", tmp_path / "log"
    config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": address}}))
    with log.open("w") as file:
        process = subprocess.Popen([program, "serve", str(config)], stdout=file, stderr=file)
    try:
        wait(f"http://{address}/v2/", process, log)
        yield address
    finally:
        process.terminate()
        process.wait()


def test_the_pushed_digest_is_in_the_registry_and_in_the_release(
    images: dict[str, str],
    laptop: Path,
    tool: str,
    registry: str,
    mlflow: str,
    git: Callable[..., str],
    tmp_path: Path,
) -> None:
    server, repo = tmp_path / "server.git", tmp_path / "repo"
    git(laptop, "clone", "--quiet", "--bare", str(laptop), str(server))
    git(tmp_path, "clone", "--quiet", str(server), str(repo))
    prefix = f"{registry}/team/late-flights"
    options = [f"IMAGE_PREFIX={prefix}", f"CONTAINER_TOOL={tool}", "TARGET=serve", "PUSH=1"]
    insecure = "PUSH_OPTIONS=--tls-verify=false --disable-compression"
    tag = git(repo, "rev-parse", "HEAD")[:12]
    try:
        with pytest.raises(AssertionError, match="server gave HTTP response to HTTPS client"):
            command("make", "images", *options, folder=repo)
        assert not (repo / "images.json").exists()
        command("make", "images", *options, insecure, folder=repo)
    finally:
        command("buildah", "rmi", f"{prefix}/serve:{tag}")
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = f"http://{registry}/v2/team/late-flights/serve/manifests/{tag}"
    with urllib.request.urlopen(urllib.request.Request(manifest, headers=accept)) as response:
        digest = f"sha256:{hashlib.sha256(response.read()).hexdigest()}"
    pushed = json.loads((repo / "images.json").read_text())
    assert pushed == {"serve": f"{prefix}/serve@{digest}"}
    promote = ["promote", "TO=staging", "IMAGES=images.json", f"MLFLOW_TRACKING_URI={mlflow}"]
    command("make", *promote, folder=repo)
    release_file = git(server, "show", "release-staging:deploy/envs/staging/release.yaml")
    assert digest in release_file
    assert f"{prefix}/serve\n" in release_file


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (f"https://user:{SECRET}@example.com/simple", "UV_DEFAULT_INDEX contains a password"),
        ("http://127.0.0.1:9/simple", "http://127.0.0.1:9/simple"),
    ],
    ids=["a password is refused", "another index is asked"],
)
def test_a_custom_package_index_is_used_unless_it_contains_a_password(
    images: dict[str, str], checkout: Path, tool: str, index: str, error: str
) -> None:
    options = ["TARGET=serve", "IMAGE_PREFIX=localhost/mlops-tests/refused"]
    options += [f"CONTAINER_TOOL={tool}", f"BUILD_OPTIONS=--build-arg UV_DEFAULT_INDEX={index}"]
    with pytest.raises(AssertionError, match=error):
        command("make", "images", *options, folder=checkout)
    assert "tests/refused" not in command("buildah", "images")
