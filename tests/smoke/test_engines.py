"""Every engine runs the same graph to the same bytes, retries a killed stage, stops at the gate."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from repos import Repo

Variant = Callable[[bool], Repo]
METRICS = {
    "classification": "roc_auc",
    "text": "recall_at_fpr",
    "anomaly": "average_precision",
    "regression": "coverage",
    "forecast": "bias",
}


@pytest.fixture
def engine(scenario: dict[str, str], root: Path, first: Callable[[str], bool]) -> str:
    """The scenario's engine, if it can run without a cluster."""
    name = scenario["orchestrator"]
    if not first("orchestrator"):
        pytest.skip("runs with another model type; the engine's code is the same")
    if not (root / "template" / "orchestration" / name / "local.py").exists():
        pytest.skip(f"{name} has no embedded engine; tests/cluster/ runs it")
    return name


def test_an_engine_that_needs_a_cluster_is_reported(repo: Repo, scenario: dict[str, str]) -> None:
    if scenario["orchestrator"] != "argo":
        pytest.skip("this engine can be embedded")
    done = repo.run("make", "orchestrate")
    assert done.code != 0
    for text in ("only runs in a cluster", "make pipeline", "make submit", "quick-start"):
        assert text in done.output


def test_the_engines_own_tests_pass(repo: Repo, engine: str) -> None:
    assert repo.run("make", "test-engine").code == 0


def test_a_killed_stage_is_retried_and_the_bytes_are_the_same(
    trained: Repo, variant: Variant, engine: str, added: str
) -> None:
    """Kill the process of `train` once; the digests of all outs must equal those of `dvc repro`.

    A stage added to dvc.yaml runs too, after `make graph` and without any other edit.
    """
    repo = _with_environments(variant(False), trained)
    with (repo.folder / "dvc.yaml").open("a") as file:
        file.write(added)
    assert repo.run("make", "orchestrate").output.count("is stale: run `make graph`") == 1
    assert repo.run("make", "graph").code == 0
    killer = _Killer(repo.folder, b"train")
    done = repo.run("make", "orchestrate")
    assert killer.killed
    assert done.code == 0
    runs = [*(repo.folder / ".dvc-remote" / "runs").iterdir()]
    assert len(runs) == 1
    digests = _digests(runs[0])
    assert digests.pop("summary.json") == digests["reports/metrics.json"]
    assert digests == trained.digests()
    assert not (repo.folder / "data").exists()
    lineage = json.loads(repo.run("mlops", "lineage", "1", "--json").output)
    assert lineage["git_sha"].endswith("-dirty")  # dvc.yaml was edited


def test_a_failed_gate_fails_the_run_and_unchanged_stages_are_skipped(
    trained: Repo, variant: Variant, engine: str, scenario: dict[str, str]
) -> None:
    metric = METRICS[scenario["model_type"]]
    repo = _with_environments(variant(True), trained)
    assert repo.run("dvc", "push").code == 0
    before = repo.run("mlops", "lineage", "none").output
    params = repo.folder / "params.yaml"
    bound = rf"({metric}: {{min: )-?[\d.]+"
    raised, times = re.subn(bound, r"\g<1>0.999", params.read_text(), count=1)
    assert times == 1
    params.write_text(raised)
    done = repo.run("make", "orchestrate")
    assert done.code != 0
    for stage in ("ingest", "features", "dataset", "train", "evaluate"):
        assert f"{stage}: nothing changed, skipped" in done.output
    assert f"{metric} is " in done.output
    assert "below the minimum 0.999" in done.output
    assert repo.run("mlops", "lineage", "none").output == before


DAY = """
import pandas as pd
days = pd.read_parquet("data/dataset/test.parquet")["event_timestamp"].dt.date
print(sorted({*days})[-2])
"""


def test_an_earlier_day_can_be_scored_and_published(
    trained: Repo, variant: Variant, engine: str
) -> None:
    """Run the batch for a day other than the latest; each shard is a stage."""
    repo = _with_environments(variant(True), trained)
    day = repo.run("python", "-c", DAY).output.strip()
    published = repo.folder / "data" / "predictions"
    before = {part.name for part in published.glob("date=*")}
    done = repo.run("make", "orchestrate", "PIPELINE=batch", f"DATE={day}")
    assert done.code == 0
    [entries] = (repo.folder / ".dvc-remote" / "runs").glob("*/batch")
    pipelines = json.loads((repo.folder / "orchestration/pipelines.json").read_text())["pipelines"]
    ran = {stage["id"] for stage in pipelines["batch"]["stages"]}
    assert {file.stem for file in entries.iterdir()} == ran > {"score-0", "score-1"}
    assert {part.name for part in published.glob("date=*")} - before == {f"date={day}"}
    assert re.search(rf"{day}: [1-9][\d,]* predictions of version 1 are in", done.output)


def _with_environments(repo: Repo, trained: Repo) -> Repo:
    """Link the trained repo's environments: engines start stages from the repo's own .venv."""
    for name in (".venv", ".venv-engine"):
        if (trained.folder / name).exists():
            (repo.folder / name).symlink_to(trained.folder / name)
    return repo


def _digests(run: Path) -> dict[str, str]:
    """Return the digests of the outs that the stages of a run recorded in the remote."""
    locks = [yaml.safe_load(file.read_text()) for file in run.glob("*.lock")]
    outs = [
        out for lock in locks for stage in lock["stages"].values() for out in stage.get("outs", [])
    ]
    return {out["path"]: out["md5"] for out in outs}


class _Killer:
    """A thread that kills the first process `mlops NAME` of a repo, once."""

    def __init__(self, folder: Path, name: bytes) -> None:
        self.killed = False
        self._mark = f"MLFLOW_TRACKING_URI=sqlite:///{folder}/".encode()
        self._name = name
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        end = time.monotonic() + 900
        while not self.killed and time.monotonic() < end:
            for process in Path("/proc").glob("[0-9]*"):
                if self._matches(process):
                    os.kill(int(process.name), signal.SIGKILL)
                    self.killed = True
                    return
            time.sleep(0.2)

    def _matches(self, process: Path) -> bool:
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            inside = self._mark in (process / "environ").read_bytes()
        except OSError:
            return False
        return inside and len(words) > 2 and words[1].endswith(b"/mlops") and words[2] == self._name
