"""The compiled pipelines and the local runner, in a copy of this folder with stages of its own.

It needs the group `orchestrator` alone: stages are stood in for by a script.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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
MLOPS = """#!/bin/sh
echo "$2 $4 $MLOPS_ENGINE" >> stages.log
case "$2" in
"$FAIL") echo "mlops $2: accuracy is 0.02 too low" >&2; exit 1 ;;
"$KILL") test -e killed || { touch killed; kill -9 $$; } ;;
"$HANG") echo $$ > hangs.tmp; mv hangs.tmp hangs; exec sleep 60 ;;
esac
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo with this folder in it."""
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
    """Start the local runner; the stages have written to stages.log what they were asked."""

    def _start(*arguments: str, **env: str) -> subprocess.Popen[str]:
        for file in ("stages.log", "killed", "hangs"):
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
        "registry/image@sha256:0",
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
        assert container["image"] == "registry/image@sha256:0"
        assert container["command"] == ["mlops"]
        placeholder = "{{$.inputs.parameters['run_id']}}"
        assert container["args"] == ["stage", stage["stage"], "--run-id", placeholder]
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
