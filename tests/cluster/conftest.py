"""Fixtures for an existing Kubernetes cluster, with the servers that a generated repo needs.

KUBECONFIG selects the cluster. Two commands build images and load them into it:
    $CLUSTER_BUILD_IMAGE -f DOCKERFILE --target TARGET -t localhost/NAME:TAG CONTEXT
    $CLUSTER_LOAD_IMAGE localhost/NAME:TAG
Pods must reach this machine at the node's address, or at $CLUSTER_HOST.
"""

import json
import os
import shlex
import socket
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from kube import SECRET, TARGETS, Namespace, Values, command, image_values, load, signed, wait

# A wrapper of buildah for `make images`, which builds with $CLUSTER_BUILD_IMAGE.
TOOL = """\
#!/bin/sh
case $1 in
build) shift; exec {build} "$@" ;;
*) exec buildah "$@" ;;
esac
"""


@pytest.fixture(scope="session")
def cluster(need: Callable[[str], str]) -> str:
    """Address at which pods reach this machine; without a cluster, the test is skipped."""
    for name in ("KUBECONFIG", "CLUSTER_BUILD_IMAGE", "CLUSTER_LOAD_IMAGE"):
        if not os.environ.get(name):
            pytest.skip(f"{name} is not set: no cluster to run the pipelines in")
    for tool in ("kubectl", "helm", "argo"):
        need(tool)
    kinds = ["kubectl", "get", "crd/workflows.argoproj.io", "--request-timeout=10s"]
    done = subprocess.run(kinds, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no cluster with Argo Workflows: {done.stderr.strip()}")
    path = 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}'
    return os.environ.get("CLUSTER_HOST") or command("kubectl", "get", "nodes", "-o", path)


@pytest.fixture(scope="session")
def image(cluster: str) -> Callable[..., Values]:
    """Build an image, load it into the cluster and return the chart's `image` values."""

    def make(context: Path, *options: str) -> Values:
        name = f"localhost/mlops-tests/own:t{uuid.uuid4().hex[:12]}"
        build = shlex.split(os.environ["CLUSTER_BUILD_IMAGE"])
        command(*build, *options, "-t", name, ".", folder=context)
        load(name)
        return image_values(name)

    return make


@pytest.fixture(scope="session")
def tool(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path to use as CONTAINER_TOOL of `make images`."""
    path = tmp_path_factory.mktemp("tool") / "buildah"
    path.write_text(TOOL.format(build=os.environ["CLUSTER_BUILD_IMAGE"]))
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def namespace(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    name = f"mlops-tests-{uuid.uuid4().hex[:8]}"
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": restricted}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    command("kubectl", "create", "-f", "-", stdin=json.dumps(manifest))
    yield Namespace(name, tmp_path_factory.mktemp("values"))
    command("kubectl", "delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def s3(cluster: str) -> Iterator[str]:
    """Endpoint of an in-memory S3 store with the bucket `dvc`; it accepts any credentials."""
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        # Otherwise, the first part of the host name is taken as a bucket name.
        patch.setenv("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")
        server = ThreadedMotoServer(ip_address=cluster, port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        urllib.request.urlopen(signed(f"{endpoint}/dvc", "PUT")).close()
        yield endpoint
        server.stop()


@pytest.fixture(scope="session")
def laptop(
    cluster: str,
    render: Callable[..., Path],
    scenarios: dict[str, Any],
    git: Callable[..., str],
    added: str,
) -> Path:
    """A repo whose pipeline ran on this machine; that run's dvc.lock is not committed."""
    repo = render(scenarios["argo-classification"])
    with (repo / "dvc.yaml").open("a") as file:
        file.write(added)
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Start")
    command("make", "setup", "pipeline", "graph", folder=repo)
    git(repo, "add", "--all", ":!dvc.lock")
    git(repo, "commit", "--quiet", "--message", "Lock")
    return repo


@pytest.fixture(scope="session")
def checkout(
    laptop: Path, git: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A clone of the repo's commit, from which CI would build images."""
    clone = tmp_path_factory.mktemp("checkout") / "repo"
    git(laptop, "clone", "--quiet", str(laptop), str(clone))
    git(clone, "remote", "set-url", "origin", f"https://ci:{SECRET}@example.com/late-flights.git")
    assert not (clone / "dvc.lock").exists()
    return clone


@pytest.fixture(scope="session")
def images(checkout: Path, tool: str, git: Callable[..., str]) -> dict[str, str]:
    """Names of the images that `make images` builds, by target."""
    prefix = "localhost/mlops-tests"
    options = [f"IMAGE_PREFIX={prefix}", f"CONTAINER_TOOL={tool}"]
    options += [f"BUILD_OPTIONS=--build-arg TOKEN={SECRET}"]
    command("make", "images", *options, folder=checkout)
    tag = git(checkout, "rev-parse", "HEAD")[:12]
    return {target: f"{prefix}/{target}:{tag}" for target in TARGETS}


@pytest.fixture(scope="session")
def loaded(images: dict[str, str]) -> Callable[[str], str]:
    """Load a target's image into the cluster, once, and return its name."""

    @cache
    def ready(target: str) -> str:
        load(images[target])
        return images[target]

    return ready


@pytest.fixture(scope="session")
def mlflow(cluster: str, laptop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an MLflow server with an empty store."""
    with socket.create_server((cluster, 0)) as free:
        port = free.getsockname()[1]
    store = tmp_path_factory.mktemp("mlflow")
    server = [
        *(str(laptop / ".venv/bin/mlflow"), "server", "--workers", "1"),
        *("--host", cluster, "--port", str(port), "--allowed-hosts", "*"),
        *("--backend-store-uri", f"sqlite:///{store}/mlflow.db"),
        *("--artifacts-destination", str(store / "artifacts")),
    ]
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    address = f"http://{cluster}:{port}"
    with (store / "log").open("w") as log:
        process = subprocess.Popen(
            server, env=env, cwd=store, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait(address + "/health", process, store / "log")
            yield address
        finally:
            os.killpg(process.pid, 15)
            process.wait()


@pytest.fixture(scope="session")
def surroundings(namespace: Namespace, s3: str, mlflow: str) -> Values:
    """Values that connect the stages to the remote and to MLflow; the Secret exists."""
    keys = ["--from-literal=AWS_ACCESS_KEY_ID=test", "--from-literal=AWS_SECRET_ACCESS_KEY=test"]
    namespace.kubectl("create", "secret", "generic", "dvc-remote", *keys)
    env = {
        "AWS_ENDPOINT_URL": s3,
        "AWS_REGION": "us-east-1",
        "MLFLOW_TRACKING_URI": mlflow,
        "MLOPS_DVC_REMOTE": "s3://dvc/late-flights",
        "MLOPS_PREDICTIONS": "s3://dvc/predictions",
        "AWS_ALLOW_HTTP": "true",
    }
    return {"env": env, "envFrom": ["dvc-remote"]}
