"""The pipeline of a generated repo as an Argo workflow with one pod per stage."""

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kube import Namespace, command, digests, image_values, signed

pytestmark = pytest.mark.xdist_group("cluster")

Values = dict[str, Any]
Image = Callable[..., Values]


@pytest.fixture(scope="module")
def graph(laptop: Path) -> Values:
    """The repo's pipelines, with one core per stage: a small node does not have two to spare."""
    pipelines: Values = json.loads((laptop / "orchestration/pipelines.json").read_text())
    for pipeline in pipelines["pipelines"].values():
        for stage in pipeline["stages"]:
            stage["resources"]["cpu"] = "1"
    return pipelines


@pytest.fixture(scope="module")
def run(
    checkout: Path,
    namespace: Namespace,
    surroundings: Values,
    graph: Values,
    loaded: Callable[[str], str],
) -> Values:
    """The finished workflow of the training pipeline."""
    pipeline = image_values(loaded("pipeline"))
    namespace.install(checkout / "deploy/chart", graph, pipeline, surroundings)
    return namespace.run("training")


def pods(workflow: Values) -> dict[str, str]:
    """Return the phases of a workflow's pods by the names of their nodes."""
    nodes = workflow["status"]["nodes"].values()
    return {node["displayName"]: node["phase"] for node in nodes if node["type"] == "Pod"}


def entries(s3: str, run: Values, stages: list[str]) -> dict[str, str]:
    """Return the digests of the outs that the stages of a workflow recorded in the remote."""
    # Without a value for it, the environment is the namespace.
    folder = f"{run['metadata']['namespace']}/{run['metadata']['uid']}"
    outs: dict[str, str] = {}
    for stage in stages:
        url = f"{s3}/dvc/late-flights/runs/{folder}/{stage}.lock"
        with urllib.request.urlopen(signed(url)) as response:
            outs |= digests(response.read().decode())
    return outs


def versions(mlflow: str) -> int:
    url = f"{mlflow}/api/2.0/mlflow/model-versions/search"
    with urllib.request.urlopen(url) as response:
        return len(json.load(response).get("model_versions", []))


def test_the_api_server_accepts_the_chart(
    laptop: Path, namespace: Namespace, graph: Values, tmp_path: Path
) -> None:
    """Every field is known to the API server and to Argo's own schemas."""
    values = tmp_path / "values.json"
    image = {"repository": "example.com/app", "tag": "v1"}
    values.write_text(json.dumps(graph | {"image": image}))
    words = ["helm", "template", "dry-run", str(laptop / "deploy/chart"), "--values", str(values)]
    rendered = command(*words, "-n", namespace.name)
    dry = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"]
    assert "cronworkflow" in namespace.kubectl(*dry, stdin=rendered)


def test_every_stage_succeeds_in_its_pod(run: Values, graph: Values, namespace: Namespace) -> None:
    assert run["status"]["phase"] == "Succeeded", namespace.log(run)
    stages = graph["pipelines"]["training"]["stages"]
    # A stage with retries has the number of the attempt appended to its name.
    assert {name.removesuffix("(0)") for name in pods(run)} == {stage["id"] for stage in stages}


def test_the_digests_equal_the_laptops(run: Values, laptop: Path, graph: Values, s3: str) -> None:
    stages = [stage["id"] for stage in graph["pipelines"]["training"]["stages"]]
    assert entries(s3, run, stages) == digests((laptop / "dvc.lock").read_text())


def test_the_batch_of_a_day_equals_the_laptops(
    run: Values, laptop: Path, graph: Values, namespace: Namespace, s3: str
) -> None:
    """Score a day in one pod per shard, with the version that the pipeline registered."""
    day = "2013-12-30"
    batch = namespace.run("batch", "-p", f"date={day}")
    log = namespace.log(batch)
    assert batch["status"]["phase"] == "Succeeded", log
    assert re.search(rf"{day}: [1-9][\d,]* predictions of version 1 are in", log)
    command("make", "batch", f"DATE={day}", folder=laptop)
    stages = [stage["id"] for stage in graph["pipelines"]["batch"]["stages"]]
    shards = [name for name in stages if name.startswith("score-")]
    remote = entries(s3, batch, [f"batch/{name}" for name in ["rows", *shards]])
    local = digests((laptop / "batch/dvc.lock").read_text())
    assert len(remote) == 1 + len(shards) > 2
    assert remote == {name: local[name] for name in remote}


def test_a_failed_gate_fails_the_run(
    run: Values,
    checkout: Path,
    graph: Values,
    surroundings: Values,
    namespace: Namespace,
    image: Image,
    mlflow: str,
    loaded: Callable[[str], str],
    tmp_path: Path,
) -> None:
    """Run again under the id of the finished run: only the stages with new parameters run."""
    registered = versions(mlflow)
    assert registered == 1
    params = (checkout / "params.yaml").read_text()
    assert "roc_auc: {min: 0.70}" in params
    stricter = params.replace("roc_auc: {min: 0.70}", "roc_auc: {min: 0.99}")
    (tmp_path / "params.yaml").write_text(stricter)
    (tmp_path / "Dockerfile").write_text(f"FROM {loaded('pipeline')}\nCOPY params.yaml /app/\n")
    namespace.install(checkout / "deploy/chart", graph, image(tmp_path), surroundings)
    failed = namespace.run("training", "-p", f"run-id={run['metadata']['uid']}")
    log = namespace.log(failed)
    assert failed["status"]["phase"] == "Failed"
    assert list(pods(failed).values()).count("Failed") == 1, log
    assert "roc_auc" in log
    assert "train: nothing changed, skipped" in log
    assert not any(name.startswith("register") for name in pods(failed))
    assert versions(mlflow) == registered


STUB = """\
FROM docker.io/library/python:3.13-slim-trixie AS pipeline
COPY --chmod=755 mlops /usr/local/bin/mlops
USER 65532:65532
"""

# A stand-in for `mlops`: the stage's address selects how it ends.
ENDS = """\
#!/bin/sh
echo "try of $2"
case $2 in
    killed) kill -9 $$ ;;
    hangs) sleep 600 ;;
esac
"""


@pytest.fixture(scope="module")
def ended(
    laptop: Path, namespace: Namespace, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, str]]:
    """Run a pipeline of one stage that ends in the given way, with one retry; return its pods."""
    context = tmp_path_factory.mktemp("stub")
    (context / "Dockerfile").write_text(STUB)
    (context / "mlops").write_text(ENDS)
    stage = {"needs": [], "resources": {"cpu": "100m", "memory": "64Mi"}, "gpu": 0, "retries": 1}
    pipelines = {
        name: {"schedule": "", "stages": [stage | {"id": name, "stage": name, "timeout": 15}]}
        for name in ("killed", "hangs")
    }
    namespace.install(laptop / "deploy/chart", {"pipelines": pipelines}, image(context))

    def run(name: str) -> dict[str, str]:
        workflow = namespace.run(name)
        assert workflow["status"]["phase"] == "Failed"
        return pods(workflow)

    return run


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_a_stage_that_is_killed_or_hangs_is_retried(
    ended: Callable[[str], dict[str, str]], how: str
) -> None:
    assert ended(how) == {f"{how}(0)": "Failed", f"{how}(1)": "Failed"}
