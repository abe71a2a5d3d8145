"""The pipeline of a generated repo as an Argo workflow, every stage in a pod of its own."""

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kube import Namespace, command, digests, signed

pytestmark = pytest.mark.xdist_group("cluster")

Values = dict[str, Any]
Image = Callable[..., Values]

PIPELINE = ("-f", "docker/Dockerfile", "--target", "pipeline")


@pytest.fixture(scope="module")
def graph(laptop: Path) -> Values:
    """The repo's pipelines, with at most one core a stage: a small node has no two to give."""
    pipelines: Values = json.loads((laptop / "orchestration/pipelines.json").read_text())
    for pipeline in pipelines["pipelines"].values():
        for stage in pipeline["stages"]:
            stage["resources"]["cpu"] = "1"
    return pipelines


@pytest.fixture(scope="module")
def checkout(
    laptop: Path, git: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The repo's commit, as CI would build an image of it; without the dvc.lock of the laptop."""
    clone = tmp_path_factory.mktemp("checkout") / "repo"
    git(laptop, "clone", "--quiet", str(laptop), str(clone))
    assert not (clone / "dvc.lock").exists()
    return clone


@pytest.fixture(scope="module")
def run(
    checkout: Path, namespace: Namespace, surroundings: Values, graph: Values, image: Image
) -> Values:
    """The workflow of the training pipeline, at its end."""
    namespace.install(checkout / "deploy/chart", graph, image(checkout, *PIPELINE), surroundings)
    return namespace.run("training")


def pods(workflow: Values) -> dict[str, str]:
    """The phase of each pod of a workflow, by the name of its node."""
    nodes = workflow["status"]["nodes"].values()
    return {node["displayName"]: node["phase"] for node in nodes if node["type"] == "Pod"}


def entries(s3: str, run: Values, stages: list[str]) -> dict[str, str]:
    """The digests of all outs, as the stages of a workflow recorded them in the remote."""
    # The environment is the namespace, where the values do not name one.
    folder = f"{run['metadata']['namespace']}/{run['metadata']['uid']}"
    found: dict[str, str] = {}
    for stage in stages:
        url = f"{s3}/dvc/late-flights/runs/{folder}/{stage}.lock"
        with urllib.request.urlopen(signed(url)) as answer:
            found |= digests(answer.read().decode())
    return found


def versions(mlflow: str) -> int:
    url = f"{mlflow}/api/2.0/mlflow/model-versions/search"
    with urllib.request.urlopen(url) as answer:
        return len(json.load(answer).get("model_versions", []))


def test_the_api_server_takes_the_chart(
    laptop: Path, namespace: Namespace, graph: Values, tmp_path: Path
) -> None:
    """With every field known to it, and under Argo's own schemas."""
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
    # A stage that may be tried again has the number of its try behind its name.
    assert {name.removesuffix("(0)") for name in pods(run)} == {stage["id"] for stage in stages}


def test_the_digests_are_the_laptops(run: Values, laptop: Path, graph: Values, s3: str) -> None:
    stages = [stage["id"] for stage in graph["pipelines"]["training"]["stages"]]
    assert entries(s3, run, stages) == digests((laptop / "dvc.lock").read_text())


def test_a_batch_of_a_day_is_the_laptops(
    run: Values, laptop: Path, graph: Values, namespace: Namespace, s3: str
) -> None:
    """Scored by the version that the pipeline's run registered, each shard in a pod of its own."""
    day = "2013-12-30"
    batch = namespace.run("batch", "-p", f"date={day}")
    said = namespace.log(batch)
    assert batch["status"]["phase"] == "Succeeded", said
    assert re.search(rf"{day}: [1-9][\d,]* predictions of version 1 are in", said)
    command("make", "batch", f"DATE={day}", folder=laptop)
    stages = [stage["id"] for stage in graph["pipelines"]["batch"]["stages"]]
    shards = [name for name in stages if name.startswith("score-")]
    there = entries(s3, batch, [f"batch/{name}" for name in ["rows", *shards]])
    here = digests((laptop / "batch/dvc.lock").read_text())
    assert len(there) == 1 + len(shards) > 2
    assert there == {name: here[name] for name in there}


def test_a_failed_gate_fails_the_run(
    run: Values,
    checkout: Path,
    graph: Values,
    surroundings: Values,
    namespace: Namespace,
    image: Image,
    mlflow: str,
) -> None:
    """Under the id of the finished run: only what the new parameters concern runs again."""
    registered = versions(mlflow)
    assert registered == 1
    params = checkout / "params.yaml"
    text = params.read_text()
    assert "roc_auc: {min: 0.70}" in text
    params.write_text(text.replace("roc_auc: {min: 0.70}", "roc_auc: {min: 0.99}"))
    namespace.install(checkout / "deploy/chart", graph, image(checkout, *PIPELINE), surroundings)
    failed = namespace.run("training", "-p", f"run-id={run['metadata']['uid']}")
    said = namespace.log(failed)
    assert failed["status"]["phase"] == "Failed"
    assert list(pods(failed).values()).count("Failed") == 1, said
    assert "roc_auc" in said
    assert "train: nothing changed, skipped" in said
    assert not any(name.startswith("register") for name in pods(failed))
    assert versions(mlflow) == registered


STUB = """\
FROM docker.io/library/python:3.13-slim-trixie AS pipeline
COPY --chmod=755 mlops /usr/local/bin/mlops
USER 65532:65532
"""

# A stand-in for `mlops`: the stage's address says how it ends.
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
    """Run a pipeline of one stage that ends in a given way, twice at most; give its pods."""
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
def test_a_stage_that_ended_badly_is_tried_again(
    ended: Callable[[str], dict[str, str]], how: str
) -> None:
    assert ended(how) == {f"{how}(0)": "Failed", f"{how}(1)": "Failed"}
