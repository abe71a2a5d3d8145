"""The images of the engines: Temporal's worker, and the jobs that set an engine's schedules."""

import importlib.util
import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube import (
    RELEASE,
    Namespace,
    Values,
    command,
    digests,
    image_values,
    load,
    nobodys,
    signed,
)

pytestmark = pytest.mark.xdist_group("cluster")

Built = tuple[Path, Values]


@pytest.fixture(scope="module")
def engine(
    tool: str, render: Callable[..., Path], scenarios: dict[str, Any], git: Callable[..., str]
) -> Callable[[str], Built]:
    """Render a repo with an engine, load the engine's image into the cluster and return both."""

    def make(name: str) -> Built:
        repo, repository = render(scenarios[f"{name}-classification"]), f"mlops-tests/{name}"
        command("uv", "lock", "--quiet", folder=repo)
        git(repo, "init", "--quiet")
        git(repo, "add", "--all")
        git(repo, "commit", "--quiet", "--message", "Start")
        options = [f"IMAGE_PREFIX=localhost/{repository}", f"CONTAINER_TOOL={tool}"]
        command("make", "images", "TARGET=engine", *options, folder=repo)
        commit = git(repo, "rev-parse", "HEAD").strip()
        name = f"localhost/{repository}/engine:{commit[:12]}"
        nobodys(name, commit)
        load(name)
        return repo, image_values(name)["image"]

    return make


@pytest.fixture(scope="module")
def temporal(
    cluster: str, need: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """Run commands of Temporal's CLI on a server that pods can reach at the attribute `address`."""
    program = need("temporal")
    with socket.create_server((cluster, 0)) as free:
        port = str(free.getsockname()[1])
    log = tmp_path_factory.mktemp("temporal") / "log"

    def ask(*words: str) -> Any:
        server = ["--address", f"{cluster}:{port}", "--output", "json"]
        return json.loads(command(program, *words, *server) or "null")

    ask.address = f"{cluster}:{port}"  # type: ignore[attr-defined]
    # Listening only on the pods' address, the server's own parts would not reach each other.
    server = [program, "server", "start-dev", "--ip", "0.0.0.0", "--headless", "--port", port]
    with log.open("w") as file:
        process = subprocess.Popen(server, stdout=file, stderr=file)
    try:
        for _ in range(120):
            with socket.socket() as client:
                if client.connect_ex((cluster, int(port))) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.5)
        yield ask
    finally:
        process.terminate()
        process.wait()


def test_temporals_worker_runs_a_stage_and_its_job_sets_the_schedules(
    engine: Callable[[str], Built],
    temporal: Any,
    laptop: Path,
    namespace: Namespace,
    surroundings: Values,
    s3: str,
    loaded: Callable[[str], str],
) -> None:
    stages = image_values(loaded("pipeline"))
    repo, worker = engine("temporal")
    pipelines = json.loads((repo / "orchestration/pipelines.json").read_text())
    own = {"image": worker, "env": {"TEMPORAL_ADDRESS": temporal.address}}
    values = {"engine": own, "suspend": ["training"]}
    # The chart's hook has ended when this returns.
    namespace.install(repo / "deploy/chart", pipelines, stages, surroundings, values)
    scope, paused = f"{RELEASE}.{namespace.name}", {}
    for name in ("batch", "training"):
        described = temporal("schedule", "describe", "--schedule-id", f"{scope}.{name}")
        paused[name] = described["schedule"]["state"].get("paused", False)
    assert paused == {"batch": False, "training": True}

    ingest = pipelines["pipelines"]["training"]["stages"][0]
    graph = {"name": "training", "schedule": "", "stages": [ingest]}
    run = ["workflow", "execute", "--type", "pipeline", "--task-queue", scope]
    done = temporal(*run, "--workflow-id", "by-hand", "--input", json.dumps(graph))
    assert done["result"] == {"ingest": "done"}
    lock = f"{s3}/dvc/late-flights/runs/{namespace.name}/{done['runId']}/ingest.lock"
    with urllib.request.urlopen(signed(lock)) as response:
        outs = digests(response.read().decode())
    assert outs
    assert outs.items() <= digests((laptop / "dvc.lock").read_text()).items()

    shell = ["exec", f"deploy/{RELEASE}-worker", "--", "sh", "-c"]
    assert namespace.kubectl(*shell, "id -u").strip() == "65532"
    with pytest.raises(AssertionError, match="Read-only file system"):
        namespace.kubectl(*shell, "touch /app/new")
    for module in ("late_flights", "lightgbm", "pytest"):
        with pytest.raises(AssertionError, match=f"No module named '{module}'"):
            namespace.kubectl(*shell, f"python -c 'import {module}'")


@pytest.fixture
def kubeflow(cluster: str, root: Path) -> Iterator[Any]:
    """The stand-in for Kubeflow's API from the engine's own tests, reachable for pods."""
    file = root / "template/orchestration/kubeflow/test_kubeflow.py"
    spec = importlib.util.spec_from_file_location("test_kubeflow", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Kubeflow(cluster) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_job_sets_kubeflows_recurring_runs(
    engine: Callable[[str], Built],
    kubeflow: Any,
    cluster: str,
    namespace: Namespace,
    need: Callable[[str], str],
    tmp_path: Path,
) -> None:
    repo, image = engine("kubeflow")

    def job(endpoint: str) -> Values:
        """Recreate the chart's Job and return its manifest."""
        env = {"KF_PIPELINES_ENDPOINT": endpoint}
        release = {"image": image, "engine": {"image": image, "env": env}, "suspend": ["training"]}
        values = tmp_path / "values.json"
        values.write_text(json.dumps(release))
        words = [need("helm"), "template", RELEASE, str(repo / "deploy/chart")]
        words += ["--show-only", "templates/serviceaccount.yaml"]
        words += ["--show-only", "templates/kubeflow/schedules.yaml"]
        words += ["--values", str(repo / "orchestration/pipelines.json"), "--values", str(values)]
        objects = {each["kind"]: each for each in yaml.safe_load_all(command(*words))}
        manifest: Values = objects["Job"]
        manifest["spec"]["backoffLimit"] = 0
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps(objects["ServiceAccount"]))
        namespace.kubectl("delete", "job", manifest["metadata"]["name"], "--ignore-not-found")
        namespace.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
        return manifest

    unreachable = job(f"http://{cluster}:9")
    name = f"job/{unreachable['metadata']['name']}"
    namespace.kubectl("wait", name, "--for=condition=Failed", "--timeout=120s")
    [line] = namespace.kubectl("logs", name).splitlines()
    assert f"no answer from Kubeflow's API at http://{cluster}:9: " in line

    [container] = unreachable["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    for pipeline, version in json.loads(env["MLOPS_VERSIONS"]).items():
        entry = {"pipeline_id": pipeline, "display_name": f"{RELEASE}-{pipeline}"}
        kubeflow.kept["pipelines"][pipeline] = entry
        entry = {"pipeline_version_id": version, "display_name": version}
        kubeflow.kept["versions"][version] = entry
    job(f"http://{cluster}:{kubeflow.server_port}")
    namespace.kubectl("wait", name, "--for=condition=Complete", "--timeout=120s")
    runs = kubeflow.kept["recurringruns"].values()
    modes = {run["pipeline_version_reference"]["pipeline_id"]: run["mode"] for run in runs}
    assert modes == {"batch": "ENABLE", "training": "DISABLE"}
