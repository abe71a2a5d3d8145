"""The compiled pipelines and the local runner, in a copy of this folder with its own stages.

They only need the group `orchestrator`: a script replaces the stages.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

HERE = Path(__file__).resolve().parent
NEEDS = {
    "ingest": [],
    "features": ["ingest"],
    "dataset": ["features", "ingest"],
    "train": ["dataset"],
    "evaluate": ["dataset", "train"],
    "gate": ["evaluate"],
    "register": ["gate", "train"],
}
STAGES: list[dict[str, Any]] = [
    {
        "id": name,
        "stage": name,
        "needs": needs,
        "resources": {"cpu": "500m", "memory": "4Gi"},
        "gpu": 2 * (name == "train"),
        "retries": 2 * (name != "gate"),
        "timeout": 1800,
    }
    for name, needs in NEEDS.items()
]
SHARDS = [
    STAGES[0] | {"id": f"score-{n}", "stage": f"batch/dvc.yaml:score@{n}", "timeout": 1}
    for n in range(2)
]
PIPELINES = {
    "training": {"schedule": "0 5 * * 1", "stages": STAGES},
    "batch": {"schedule": "", "stages": SHARDS},
}
IMAGE = f"registry/image@sha256:{'0' * 64}"
MLOPS = """#!/bin/sh
echo "$2 $4 $MLOPS_ENGINE" >> stages.log
echo "$5 $6" >> dates.log
case "$2" in
"$FAIL") echo "mlops $2: accuracy is 0.02 too low" >&2; exit 1 ;;
"$KILL") test -e killed || { touch killed; kill -9 $$; } ;;
"$HANG") echo $$ > hangs.tmp; mv hangs.tmp hangs; exec sleep 60 ;;
esac
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repo that contains this folder."""
    root = tmp_path_factory.mktemp("repo")
    shutil.copytree(HERE, root / "orchestration/kubeflow")
    (root / "orchestration/pipelines.json").write_text(json.dumps({"pipelines": PIPELINES}))
    (root / "pyproject.toml").write_text('[project]\nname = "late-flights"\n')
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/mlops").write_text(MLOPS)
    (root / ".venv/bin/mlops").chmod(0o755)
    return root


@pytest.fixture
def start(repo: Path) -> Any:
    """Return a function that starts the local runner; stages log their arguments in stages.log."""

    def _start(*arguments: str, **env: str) -> subprocess.Popen[str]:
        for file in ("stages.log", "dates.log", "killed", "hangs"):
            (repo / file).unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, "orchestration/kubeflow/local.py", *arguments],
            cwd=repo,
            env=os.environ | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return _start


def stages(repo: Path) -> list[list[str]]:
    return [line.split() for line in (repo / "stages.log").read_text().splitlines()]


def compile_into(folder: Path, repo: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "orchestration/kubeflow/pipeline.py",
        "--image",
        IMAGE,
    ]
    return subprocess.run(
        [*command, "--output", str(folder), *arguments], cwd=repo, capture_output=True, text=True
    )


def test_a_killed_stage_is_retried_and_the_run_succeeds(repo: Path, start: Any) -> None:
    run = start(KILL="train")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    names, runs, engines = zip(*stages(repo), strict=True)
    assert sorted(names) == sorted([*NEEDS, "train"])
    for name, needs in NEEDS.items():
        assert all(names.index(need) < names.index(name) for need in needs)
    assert set(engines) == {"kubeflow"}
    assert len(set(runs)) == 1
    assert f"Kubeflow run {runs[0]}: success" in output
    assert "train                          success          tries: 2" in output


def test_a_failing_stage_fails_the_run(repo: Path, start: Any) -> None:
    run = start(FAIL="gate")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1
    names = [name for name, *_ in stages(repo)]
    assert names.count("gate") == 1
    assert "register" not in names
    assert "mlops gate: accuracy is 0.02 too low" in output
    assert "gate                           failed           tries: 1" in output
    assert "register                       not run          tries: 0" in output


def test_a_stage_that_takes_too_long_is_ended(repo: Path, start: Any) -> None:
    run = start("batch", HANG="batch/dvc.yaml:score@0")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "stage batch/dvc.yaml:score@0" in output
    assert "stopped after 1 s" in output
    assert "score-0                        failed           tries: 3" in output
    with pytest.raises(ProcessLookupError):
        os.kill(int((repo / "hangs").read_text()), 0)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_the_run_stops_the_stage(repo: Path, start: Any, signum: int) -> None:
    run = start(HANG="ingest")
    until = time.monotonic() + 60
    while not (repo / "hangs").exists():
        assert time.monotonic() < until
        time.sleep(0.2)
    run.send_signal(signum)
    run.communicate(timeout=60)
    assert run.returncode == 128 + signum
    assert len(stages(repo)) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((repo / "hangs").read_text()), 0)


def test_a_run_is_of_the_day_that_is_asked_for(repo: Path, start: Any) -> None:
    for options, line in ((("--date", "2013-12-30"), "--date 2013-12-30"), ((), "--date ")):
        run = start("batch", *options)
        output, _ = run.communicate(timeout=120)
        assert run.returncode == 0, output
        assert {*(repo / "dates.log").read_text().splitlines()} == {line}


def test_an_unknown_pipeline_is_one_clear_line(start: Any) -> None:
    run = start("trainning")
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert output == "no pipeline 'trainning': type one of training, batch\n"


def test_the_compiled_pipeline_is_the_graph(repo: Path, tmp_path: Path) -> None:
    done = compile_into(
        tmp_path, repo, "--env", "MLFLOW_TRACKING_URI=http://mlflow?a=b", "--secret", "s3:AWS_KEY"
    )
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["batch.yaml", "training.yaml"]
    spec, platform = yaml.safe_load_all((tmp_path / "training.yaml").read_text())
    assert spec["pipelineInfo"]["name"] == "late-flights-training"
    date = spec["root"]["inputDefinitions"]["parameters"]["date"]
    assert (date["defaultValue"], date["isOptional"]) == ("", True)
    tasks = spec["root"]["dag"]["tasks"]
    assert {name: sorted(t.get("dependentTasks", [])) for name, t in tasks.items()} == NEEDS
    for stage in STAGES:
        task = tasks[stage["id"]]
        assert "enableCache" not in task["cachingOptions"]
        assert task.get("retryPolicy", {}).get("maxRetryCount", 0) == stage["retries"]
        run_id = task["inputs"]["parameters"]["run_id"]["runtimeValue"]["constant"]
        assert run_id == "{{$.pipeline_job_uuid}}"
        label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        container = spec["deploymentSpec"]["executors"][label]["container"]
        assert container["image"] == IMAGE
        assert container["command"] == ["mlops"]
        run, date = ("{{$.inputs.parameters['" + name + "']}}" for name in ("run_id", "date"))
        assert container["args"] == ["stage", stage["stage"], "--run-id", run, "--date", date]
        assert task["inputs"]["parameters"]["date"] == {"componentInputParameter": "date"}
        resources = container["resources"]
        for bound in ("Request", "Limit"):
            assert resources[f"resourceCpu{bound}"] == stage["resources"]["cpu"]
            assert resources[f"resourceMemory{bound}"] == stage["resources"]["memory"]
        gpu = {"resourceType": "nvidia.com/gpu", "resourceCount": "2"}
        assert resources.get("accelerator", {}).items() >= (gpu if stage["gpu"] else {}).items()
        assert ("accelerator" in resources) == bool(stage["gpu"])
        env = {variable["name"]: variable["value"] for variable in container["env"]}
        assert env == {
            "MLOPS_ENGINE": "kubeflow",
            "MLFLOW_TRACKING_URI": "http://mlflow?a=b",
            "OMP_NUM_THREADS": "1",
        }
        pod = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][label]
        assert int(pod["activeDeadlineSeconds"]) == stage["timeout"]
        [secret] = pod["secretAsEnv"]
        assert secret["secretName"] == "s3"
        assert secret["keyToEnv"] == [{"envVar": "AWS_KEY", "secretKey": "AWS_KEY"}]


def test_compiling_again_gives_the_same_bytes(repo: Path, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        assert compile_into(tmp_path / folder, repo).returncode == 0
    for name in PIPELINES:
        first, second = (tmp_path / folder / f"{name}.yaml" for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_a_malformed_variable_is_one_clear_line(repo: Path, tmp_path: Path) -> None:
    done = compile_into(tmp_path, repo, "--env", "MLFLOW_TRACKING_URI")
    assert done.returncode == 2
    assert "--env MLFLOW_TRACKING_URI: there is no '=' in it" in done.stderr
    assert not list(tmp_path.iterdir())


CHART = HERE.parents[1] / "deploy/chart"


@pytest.fixture
def rendered(repo: Path) -> dict[str, Any]:
    """Return the chart's objects for the pipeline `training`, by kind."""
    if not (helm := shutil.which("helm")):
        pytest.skip("helm is not on the PATH")
    values = {
        "image": {
            **dict(zip(("repository", "digest"), IMAGE.split("@"), strict=True)),
            "pullPolicy": "Always",
        },
        "environment": "staging",
        "env": {"MLFLOW_TRACKING_URI": "http://mlflow?a=b"},
        "labels": {"team": "flights", "kueue.x-k8s.io/queue-name": "ml"},
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "nodeSelector": {"pool": "ml"},
        "tolerations": [
            {"key": "ml", "operator": "Exists"},
            {"key": "gpu", "value": "true", "effect": "NoSchedule"},
        ],
        "imagePullSecrets": ["registry"],
        "engine": {"secretKeys": {"s3": ["AWS_KEY", "AWS_SECRET"]}},
        "serving": {"model": {"version": "3", "digest": "a" * 64}},
    }
    file = repo / "values.json"
    file.write_text(json.dumps(values))
    command = [helm, "template", "shop", str(CHART), "-f", "orchestration/pipelines.json"]
    done = subprocess.run([*command, "-f", str(file)], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {each["kind"]: each for each in objects if "training" in each["metadata"]["name"]}


def test_the_chart_renders_what_the_compiler_makes(
    repo: Path, rendered: dict[str, Any], tmp_path: Path
) -> None:
    options = ["--env", "MLFLOW_TRACKING_URI=http://mlflow?a=b", "--values", "values.json"]
    options += ["--env", "MLOPS_ENVIRONMENT=staging"]
    options += ["--env", f"MLOPS_MODEL_DIGEST={'a' * 64}", "--env", "MLOPS_MODEL_VERSION=3"]
    options += ["--secret", "s3:AWS_KEY", "--secret", "s3:AWS_SECRET"]
    done = compile_into(tmp_path, repo, *options)
    assert done.returncode == 0, done.stderr
    compiled = yaml.safe_load_all((tmp_path / "training.yaml").read_text())
    version = rendered["PipelineVersion"]["spec"]
    assert version["pipelineName"] == rendered["Pipeline"]["metadata"]["name"] == "shop-training"
    for ours, theirs in zip(
        (version["pipelineSpec"], version["platformSpec"]), compiled, strict=True
    ):
        assert _plain(ours) == _plain(theirs)


def _plain(spec: Any) -> Any:
    """Drop irrelevant fields: the compiler's version, its older fields, the chart's labels."""
    older = {"cpuLimit", "cpuRequest", "memoryLimit", "memoryRequest", "count", "type"}
    if isinstance(spec, dict):
        left = {key: _plain(value) for key, value in spec.items() if key not in older}
        left = {k: v for k, v in left.items() if not k.startswith("app.kubernetes.io/")}
        return {k: v for k, v in left.items() if k not in {"sdkVersion", "pipelineInfo"}}
    return [_plain(each) for each in spec] if isinstance(spec, list) else spec


class Kubeflow(ThreadingHTTPServer):
    """Kubeflow's API for recurring runs: keeps created objects until they are deleted."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), Answers)
        self.kept: dict[str, dict[str, Any]] = {"pipelines": {}, "experiments": {}}
        self.kept |= {"recurringruns": {}, "versions": {}}
        self.made = 0


class Answers(BaseHTTPRequestHandler):
    """Handle one request."""

    server: Kubeflow
    LISTS = {  # noqa: RUF012
        "pipelines": ("pipelines", "pipeline_id"),
        "versions": ("pipeline_versions", "pipeline_version_id"),
        "experiments": ("experiments", "experiment_id"),
        "recurringruns": ("recurringRuns", "recurring_run_id"),
    }

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        kind = url.path.rpartition("/")[2]
        if kind == "healthz":
            return self.answer({"multi_user": False})
        objects, query = [*self.server.kept[kind].values()], parse_qs(url.query)
        if kind == "recurringruns":
            [experiment] = query["experiment_id"]
            objects = [each for each in objects if each["experiment_id"] == experiment]
        for text in query.get("filter", []):
            [name] = [predicate["stringValue"] for predicate in json.loads(text)["predicates"]]
            objects = [each for each in objects if each["display_name"] == name]
        return self.answer({self.LISTS[kind][0]: objects})

    def do_POST(self) -> None:
        kind = self.path.rpartition("/")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.made += 1
        id = body[self.LISTS[kind][1]] = f"{kind}-{self.server.made}"
        self.server.kept[kind][id] = body
        self.answer(body)

    def do_DELETE(self) -> None:
        del self.server.kept["recurringruns"][self.path.rpartition("/")[2]]
        self.answer({})

    def answer(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def kubeflow() -> Iterator[Kubeflow]:
    with Kubeflow() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pipeline = {"pipeline_id": "uid-1", "display_name": "shop-training"}
        server.kept["pipelines"]["uid-1"] = pipeline
        for number in (1, 2):
            version = {"pipeline_version_id": f"uid-v{number}", "display_name": f"v{number}"}
            server.kept["versions"][str(number)] = version
        yield server
        server.shutdown()


@pytest.fixture
def sync(repo: Path, kubeflow: Kubeflow, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Return a function that runs schedule.py like the chart; it returns exit code and output."""

    def run(version: str, **env: str) -> tuple[int, str]:
        variables = {
            "KF_PIPELINES_ENDPOINT": f"http://127.0.0.1:{kubeflow.server_port}",
            "MLOPS_RELEASE": "shop",
            "MLOPS_VERSIONS": json.dumps({"training": version}),
            "HOME": str(tmp_path),
        }
        command = [sys.executable, "orchestration/kubeflow/schedule.py"]
        done = subprocess.run(
            command, cwd=repo, env=os.environ | variables | env, capture_output=True, text=True
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_recurring_runs_follow_the_file(
    kubeflow: Kubeflow, sync: Callable[..., tuple[int, str]]
) -> None:
    runs = kubeflow.kept["recurringruns"]
    assert sync("v1")[0] == 0
    [first] = runs.values()
    assert first["trigger"]["cron_schedule"]["cron"] == "0 0 5 * * 1"
    assert (first["mode"], first["no_catchup"], first["max_concurrency"]) == ("ENABLE", True, 1)
    reference = {"pipeline_id": "uid-1", "pipeline_version_id": "uid-v1"}
    assert first["pipeline_version_reference"] == reference
    assert sync("v1")[0] == 0
    assert [*runs.values()] == [first]
    assert sync("v2")[0] == 0
    [second] = runs.values()
    assert second["pipeline_version_reference"]["pipeline_version_id"] == "uid-v2"
    for suspend, mode in (
        ("true", "DISABLE"),
        ("batch", "ENABLE"),
        ("batch,training", "DISABLE"),
        ("false", "ENABLE"),
    ):
        assert sync("v2", MLOPS_SUSPEND=suspend)[0] == 0
        [run] = runs.values()
        assert run["mode"] == mode
    assert len(kubeflow.kept["experiments"]) == 1


def test_two_environments_share_a_kubeflow(
    kubeflow: Kubeflow, sync: Callable[..., tuple[int, str]]
) -> None:
    """With one release name, neither of two environments deletes the runs of the other."""

    def modes() -> dict[str, str]:
        return {
            each["display_name"]: each["mode"] for each in kubeflow.kept["recurringruns"].values()
        }

    assert sync("v1", MLOPS_ENVIRONMENT="staging")[0] == 0
    assert sync("v2", MLOPS_ENVIRONMENT="prod", MLOPS_SUSPEND="true")[0] == 0
    assert modes() == {"v1": "ENABLE", "v2": "DISABLE"}
    assert sync("v1", MLOPS_ENVIRONMENT="staging")[0] == 0
    assert modes() == {"v1": "ENABLE", "v2": "DISABLE"}


def test_an_update_leaves_no_recurring_run_without_an_environment(
    kubeflow: Kubeflow, sync: Callable[..., tuple[int, str]]
) -> None:
    assert sync("v1")[0] == 0
    assert sync("v3", MLOPS_ENVIRONMENT="staging")[0] == 1  # a Kubeflow that does not serve it
    assert len(kubeflow.kept["recurringruns"]) == 1
    assert sync("v2", MLOPS_ENVIRONMENT="staging")[0] == 0
    [run] = kubeflow.kept["recurringruns"].values()
    assert run["display_name"] == "v2"


def test_a_version_that_kubeflow_does_not_have_changes_nothing(
    kubeflow: Kubeflow, sync: Callable[..., tuple[int, str]]
) -> None:
    assert sync("v1")[0] == 0
    before = dict(kubeflow.kept["recurringruns"])
    code, output = sync("v3")
    assert code == 1
    assert "Kubeflow has no version v3 of shop-training yet" in output
    assert kubeflow.kept["recurringruns"] == before


@pytest.mark.parametrize(
    ("endpoint", "start"),
    [
        ("", "KF_PIPELINES_ENDPOINT is not set"),
        ("http://127.0.0.1:9", "no answer from Kubeflow's API at http://127.0.0.1:9: "),
    ],
)
def test_without_an_api_one_line_says_so(
    sync: Callable[..., tuple[int, str]], endpoint: str, start: str
) -> None:
    code, line = sync("v1", KF_PIPELINES_ENDPOINT=endpoint)
    assert code == 1
    assert line.startswith(start)
    assert line.count("\n") == 1
