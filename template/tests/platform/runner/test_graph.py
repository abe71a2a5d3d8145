"""Tests of `mlops graph`: the exported pipelines match DVC's graph."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
from croniter import croniter

Mlops = Callable[[str], ModuleType]

PYPROJECT = """
[project]
name = "toy"
[tool.mlops]
package = "toy"
tracking-uri = "sqlite:///mlflow.db"
[tool.mlops.pipelines.training]
file = "dvc.yaml"
schedule = "0 5 * * 1"
[tool.mlops.pipelines.batch]
file = "batch/dvc.yaml"
"""
TRAINING = """
vars:
  - pyproject.toml:tool
  - big: {memory: 8Gi}
stages:
  publish: {cmd: publish, deps: [model], outs: [published]}
  ingest: {cmd: ingest, outs: [data/raw]}
  features:
    foreach: [weather, planes]
    do:
      cmd: "${tool.mlops.package} ${item}"
      deps: [data/raw/part.csv]
      outs: ["data/${item}"]
      meta: {timeout: 90s}
  train:
    matrix: {seed: [1, 2], kind: [tree_Deep]}
    cmd: train ${item.seed}
    deps: [data/weather, data/planes]
    outs: ["model/${item.seed}"]
    meta: {resources: {cpu: 0.5, memory: "${big.memory}"}, gpu: 1, retries: 0, timeout: 2h}
"""
BATCH = """
stages:
  score:
    foreach: [0, 1]
    do: {cmd: score, deps: [../model/1], outs: ["scores/${item}"]}
"""


@pytest.fixture
def repo(tmp_path: Path, mlops: Mlops, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "batch").mkdir()
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "dvc.yaml").write_text(TRAINING)
    (tmp_path / "batch/dvc.yaml").write_text(BATCH)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / ".dvc/site"))
    monkeypatch.chdir(tmp_path)
    mlops("settings").settings.cache_clear()
    yield tmp_path
    mlops("settings").settings.cache_clear()


def stages(mlops: Mlops, repo: Path, pipeline: str = "training") -> dict[str, dict[str, Any]]:
    exported = mlops("runner.graph").export(repo)["pipelines"][pipeline]["stages"]
    return {stage["id"]: stage for stage in exported}


def test_stages_come_in_order_with_their_needs(mlops: Mlops, repo: Path) -> None:
    needs = {stage["stage"]: stage["needs"] for stage in stages(mlops, repo).values()}
    assert list(needs.items()) == [
        ("ingest", []),
        ("features@planes", ["ingest"]),
        ("features@weather", ["ingest"]),
        ("train@1-tree_Deep", ["features-planes", "features-weather"]),
        ("train@2-tree_Deep", ["features-planes", "features-weather"]),
        ("publish", ["train-1-tree-deep", "train-2-tree-deep"]),
    ]


def test_meta_of_a_stage_and_defaults(mlops: Mlops, repo: Path) -> None:
    exported = stages(mlops, repo)
    assert exported["train-1-tree-deep"] == {
        "id": "train-1-tree-deep",
        "stage": "train@1-tree_Deep",
        "needs": ["features-planes", "features-weather"],
        "resources": {"cpu": "0.5", "memory": "8Gi"},
        "gpu": 1,
        "retries": 0,
        "timeout": 7200,
    }
    defaults = {"resources": {"cpu": "1", "memory": "2Gi"}, "gpu": 0, "retries": 2, "timeout": 3600}
    assert exported["ingest"] == {"id": "ingest", "stage": "ingest", "needs": [], **defaults}
    assert exported["features-planes"]["timeout"] == 90


def test_what_another_file_writes_is_an_input(mlops: Mlops, repo: Path) -> None:
    needs = {stage["stage"]: stage["needs"] for stage in stages(mlops, repo, "batch").values()}
    assert needs == {"batch/dvc.yaml:score@0": [], "batch/dvc.yaml:score@1": []}


def test_file_is_stable_and_stale_after_a_change(mlops: Mlops, repo: Path) -> None:
    graph, problem = mlops("runner.graph"), mlops("errors").Problem
    with pytest.raises(problem, match=r"pipelines.json is stale: run `make graph`"):
        graph.check()
    graph.write()
    graph.check()
    text = (repo / graph.FILE).read_text()
    graph.write()
    assert (repo / graph.FILE).read_text() == text
    assert text.startswith("{\n  ")
    assert text.endswith("}\n")
    (repo / "dvc.yaml").write_text(TRAINING.replace("90s", "91s"))
    with pytest.raises(problem, match="stale"):
        graph.check()


def test_output_keeps_to_the_schema(mlops: Mlops, repo: Path) -> None:
    schema = json.loads(
        (Path(__file__).parents[3] / "orchestration/pipelines.schema.json").read_text()
    )
    exported = mlops("runner.graph").export(repo)
    jsonschema.validate(exported, schema)
    for broken in ({"gpu": -1}, {"id": "Train"}, {"needs": ["a", "a"]}, {"queue": "fast"}):
        first = exported["pipelines"]["training"]["stages"][0]
        document = {**exported, "pipelines": {"p": {"schedule": "", "stages": [first | broken]}}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, schema)


SCHEDULES = {
    "0 5 * * 1": "0 5 * * 1",
    "00 05  * * mon": "0 5 * * 1",
    "0 5 1 * 1": "0 5 1 * 1",
    "*/15 8-10 * JAN,jul *": "0,15,30,45 8,9,10 * 1,7 *",
    "0 5 ? * 7": "0 5 * * 0",
    "30 22-1 * * fri-sun": "30 0,1,22,23 * * 0,5,6",
    "0 5 */10 * 0-6/3": "0 5 1,11,21,31 * 0,3,6",
    "0 5 29 2 *": "0 5 29 2 *",
    "@weekly": "0 0 * * 0",
    "": "",
}


@pytest.mark.parametrize("line", SCHEDULES)
def test_a_schedule_is_normalized_for_all_engines(mlops: Mlops, repo: Path, line: str) -> None:
    (repo / "pyproject.toml").write_text(PYPROJECT.replace("0 5 * * 1", line))
    exported = mlops("runner.graph").export(repo)
    schedule = exported["pipelines"]["training"]["schedule"]
    assert schedule == SCHEDULES[line]
    schema = json.loads(
        (Path(__file__).parents[3] / "orchestration/pipelines.schema.json").read_text()
    )
    jsonschema.validate(exported, schema)
    if line:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        ours, theirs = (islice(croniter(x, start).all_next(), 50) for x in (schedule, line))
        assert [*ours] == [*theirs]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("99 5 * * *", "out of range"),
        ("0 5 * * 8", "out of range"),
        ("0 5 * *", "columns"),
        ("@every 1h", "columns"),
        ("0 5 31 2,4 *", "there is no such day"),
        ("0 5 L * *", "not every engine supports"),
        ("0 5 15W * *", "not every engine supports"),
        ("0 5 * * mon#1", "not every engine supports"),
        ("R 5 * * *", "not every engine supports"),
        ("0 5 * * 1 30", "not every engine supports"),
        ("CRON_TZ=UTC 0 5 * * *", "not acceptable"),
    ],
)
def test_a_bad_schedule_is_reported_in_one_line(
    mlops: Mlops, repo: Path, line: str, message: str
) -> None:
    (repo / "pyproject.toml").write_text(PYPROJECT.replace("0 5 * * 1", line))
    with pytest.raises(mlops("errors").Problem, match=message) as caught:
        mlops("runner.graph").export(repo)
    text = str(caught.value)
    where = f"pyproject.toml: [tool.mlops.pipelines.training] schedule {line!r}: "
    assert text.startswith(where)
    assert text.endswith('like "0 5 * * 1"')
    assert "\n" not in text


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("{queue: fast}", "meta.queue is not a known key: type resources, gpu, "),
        ("{resources: {mem: 1Gi}}", "meta.resources.mem is not a known key: type cpu, memory"),
        ("{resources: {memory: 2GB}}", "meta.resources.memory is '2GB': type bytes, like 512Mi"),
        ("{resources: {cpu: 1Gi}}", "meta.resources.cpu is '1Gi': type cores, like"),
        ("{resources: large}", "meta.resources is 'large': type like"),
        ("{gpu: 0.5}", "meta.gpu is 0.5: type a number of GPUs"),
        ("{retries: true}", "meta.retries is True: type a number of retries"),
        ("{timeout: 30}", "meta.timeout is 30: type a number and s, m or h"),
        ("{timeout: 0m}", "meta.timeout is '0m': type a number and s, m or h"),
        ("large", "meta is 'large': type "),
    ],
)
def test_bad_meta_is_reported_in_one_line(
    mlops: Mlops, repo: Path, meta: str, message: str
) -> None:
    (repo / "dvc.yaml").write_text(f"stages: {{train: {{cmd: train, meta: {meta}}}}}")
    with pytest.raises(mlops("errors").Problem, match=f"^dvc.yaml: train: {message}") as caught:
        mlops("runner.graph").export(repo)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("a: {cmd: a, deps: [y], outs: [x]}, b: {cmd: b, deps: [x], outs: [y]}", "stages: .*[ab]"),
        ("a_b: {cmd: a}, a-b: {cmd: b}", "dvc.yaml: a_b: .*'a-b'.* another stage's: rename"),
        (f"{'a' * 64}: {{cmd: a}}", "too long"),
        ("a: {cmd: a, outs: [x]}, b: {cmd: b, outs: [x]}", "output 'x' is .*in several|x"),
        ("a: {command: a}", "dvc.yaml.* validation failed.*cmd|command"),
        ("a: {cmd: 'a ${nothing}'}", "nothing"),
        ("a: {cmd: a", "dvc.yaml.*while parsing"),
        (
            "a: {cmd: a, outs: [{x: {cache: false}}]}, b: {cmd: b, deps: [x]}",
            "^a: x: b reads it, but with `cache: false`",
        ),
    ],
)
def test_bad_pipeline_is_reported_in_one_line(
    mlops: Mlops, repo: Path, pipeline: str, message: str
) -> None:
    (repo / "dvc.yaml").write_text(f"stages: {{{pipeline}}}")
    with pytest.raises(mlops("errors").Problem, match=message) as caught:
        mlops("runner.graph").export(repo)
    assert "\n" not in str(caught.value)


def test_missing_file_is_reported(mlops: Mlops, repo: Path) -> None:
    (repo / "batch/dvc.yaml").unlink()
    with pytest.raises(mlops("errors").Problem, match=r"batch/dvc.yaml.* does not exist"):
        mlops("runner.graph").export(repo)
