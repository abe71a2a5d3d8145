"""A Kubernetes cluster that is already there, and what a generated repo needs of its surroundings.

KUBECONFIG leads to the cluster. Two commands take images into it:
    $CLUSTER_BUILD_IMAGE -f DOCKERFILE --target TARGET -t localhost/NAME:TAG CONTEXT
    $CLUSTER_LOAD_IMAGE localhost/NAME:TAG
Pods must reach this machine by the node's address, or by $CLUSTER_HOST.
"""

import json
import os
import shlex
import socket
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kube import Namespace, Values, command, signed, wait

# What `make images` takes for buildah: it builds with what this machine needs.
TOOL = """\
#!/bin/sh
case $1 in
build) shift; exec {build} "$@" ;;
*) exec buildah "$@" ;;
esac
"""


@pytest.fixture(scope="session")
def cluster(need: Callable[[str], str]) -> str:
    """The address by which pods reach this machine; skips where there is no cluster."""
    for name in ("KUBECONFIG", "CLUSTER_BUILD_IMAGE", "CLUSTER_LOAD_IMAGE"):
        if not os.environ.get(name):
            pytest.skip(f"{name} is not set: the pipelines do not run in a cluster")
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
    """Build an image, load it into the cluster, give the chart's `image` values."""

    def make(context: Path, *options: str, name: str = "pipeline") -> Values:
        repository, tag = f"localhost/mlops-tests/{name}", f"t{uuid.uuid4().hex[:12]}"
        build = shlex.split(os.environ["CLUSTER_BUILD_IMAGE"])
        command(*build, *options, "-t", f"{repository}:{tag}", ".", folder=context)
        command(*shlex.split(os.environ["CLUSTER_LOAD_IMAGE"]), f"{repository}:{tag}")
        return {"image": {"repository": repository, "tag": tag}}

    return make


@pytest.fixture(scope="session")
def tool(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The CONTAINER_TOOL of `make images`."""
    path = tmp_path_factory.mktemp("tool") / "buildah"
    path.write_text(TOOL.format(build=os.environ["CLUSTER_BUILD_IMAGE"]))
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="session")
def namespace(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    name = f"mlops-tests-{uuid.uuid4().hex[:8]}"
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": restricted}
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    command("kubectl", "create", "-f", "-", stdin=json.dumps(made))
    yield Namespace(name, tmp_path_factory.mktemp("values"))
    command("kubectl", "delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def s3(cluster: str) -> Iterator[str]:
    """The endpoint of an S3 store in memory, with the bucket `dvc`; it takes any credentials."""
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        # Else the first part of the host's name is taken for a bucket's.
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
    """A repo whose pipeline ran here; its commit has all but the dvc.lock of that run."""
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
def mlflow(cluster: str, laptop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server with an empty store."""
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
    """Values that lead the stages to the remote and to MLflow; the Secret is there."""
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
