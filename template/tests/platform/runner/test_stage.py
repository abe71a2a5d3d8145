"""Tests of `mlops stage`: in a fresh copy of the repo, a stage makes the outs of `dvc repro`."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

Mlops = Callable[[str], ModuleType]

FILES = {
    "pyproject.toml": """
[project]
name = "toy"
[tool.mlops]
package = "toy"
tracking-uri = "sqlite:///.mlflow/mlflow.db"
[tool.mlops.pipelines.training]
file = "dvc.yaml"
""",
    ".gitignore": "/data/\n/model/\n/report\n/.dvc/config.local\n/.dvc/cache\n/.dvc/tmp\n",
    "params.yaml": '{"rows": 3, "rate": 0.1, "fail": false, "wait": 0}\n',
    "src/toy/__init__.py": "",
    # Writes `out` from `ins`, and adds a line to $LOG.
    "src/toy/step.py": """
import json, os, sys, time
from pathlib import Path
params = json.loads(Path("params.yaml").read_text())
name, out, *ins = sys.argv[1:]
with open(os.environ["LOG"], "a") as log:
    print(name, file=log)
print("step", name, os.environ.get("MLOPS_RUN_ID"), os.environ.get("MLFLOW_TRACKING_URI"))
print("date", os.environ.get("MLOPS_DATE"))
print("from", __file__)
text = "".join(Path(path).read_text() for path in ins)
if name == "ingest":
    Path(out).mkdir(parents=True)
    Path(out, "a").write_text("a" * params["rows"])
    Path(out, "b").write_text("b")
else:
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(f"{text} {out} {params['rate'] if name == 'train' else ''}")
if name == "train":
    time.sleep(params["wait"])
    sys.exit(params["fail"] and "it does not converge")
""",
    # A stage reads a part of an out, a whole out, or a folder of outs.
    "dvc.yaml": """
stages:
  ingest:
    cmd: python -S -m toy.step ingest data/raw
    params: [rows]
    outs: [data/raw]
  features:
    foreach: [x, y]
    do:
      cmd: python -S -m toy.step features data/features/${item} data/raw/a
      deps: [data/raw/a, src/toy/step.py]
      outs: ["data/features/${item}"]
  train:
    cmd: python -S -m toy.step train model/m data/features/x data/features/y
    deps: [data/features]
    params: [rate, fail, wait]
    outs: [model/m]
  report:
    cmd: python -S -m toy.step report report model/m
    deps: [model/m]
    outs: [report]
""",
}
STAGES = ["ingest", "features@x", "features@y", "train", "report"]


class Toy:
    """A repo, its DVC remote beside it, and a log of the commands that ran."""

    def __init__(self, mlops: Mlops, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mlops, self.folder, self.monkeypatch = mlops, folder, monkeypatch
        self.repo, self.remote, self.log = folder / "repo", folder / "remote", folder / "log"
        self.containers = 0
        if not self.repo.exists():
            for name, text in FILES.items():
                self.write(name, text)
            self.write(".dvc/config", "[core]\nremote = r\n['remote \"r\"']\nurl = ../../remote\n")

    def write(self, name: str, text: str) -> None:
        (self.repo / name).parent.mkdir(parents=True, exist_ok=True)
        (self.repo / name).write_text(text)

    def change(self, old: str, new: str, file: str = "params.yaml") -> None:
        text = (self.repo / file).read_text()
        assert old in text
        self.write(file, text.replace(old, new))

    def container(self) -> Path:
        """A fresh folder with the repo's files only."""
        self.containers += 1
        fresh = self.folder / f"container{self.containers}"
        ignore = shutil.ignore_patterns("data", "model", "report", "cache", "tmp", ".git")
        shutil.copytree(self.repo, fresh, ignore=ignore)
        return fresh

    def run(
        self, *names: str, run_id: str = "r1", folder: Path | None = None, date: str = ""
    ) -> list[str]:
        """Run the stages, each in its own container, and return the commands that ran."""
        self.log.write_text("")
        for name in names:
            self.monkeypatch.chdir(folder or self.container())
            self.mlops("settings").settings.cache_clear()
            self.mlops("runner.stage").run(name, run_id, date)
        return self.log.read_text().split()

    def start(self, name: str, run_id: str = "r1") -> subprocess.Popen[str]:
        code = "import importlib, sys; importlib.import_module(sys.argv[1]).run(*sys.argv[2:])"
        module = self.mlops("runner.stage").__name__
        return subprocess.Popen(
            [sys.executable, "-c", code, module, name, run_id],
            cwd=self.container(),
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def repro(self) -> dict[str, Any]:
        """Run `dvc repro && dvc push` in the repo, and return the digest of each out."""
        from dvc.repo import Repo

        self.monkeypatch.chdir(self.repo)
        self.monkeypatch.setenv("PYTHONPATH", str(self.repo / "src"))
        with Repo(config={"core": {"no_scm": True}}) as repo:
            repo.reproduce()
            repo.push()
        self.monkeypatch.delenv("PYTHONPATH")
        return digests(self.repo / "dvc.lock")

    def recorded(self, run_id: str = "r1") -> dict[str, Any]:
        files = sorted((self.remote / "runs" / run_id).glob("*.lock"))
        return {path: md5 for file in files for path, md5 in digests(file).items()}

    def pushed(self) -> set[Path]:
        return {path for path in self.remote.rglob("*") if path.is_file()}


def digests(lock: Path) -> dict[str, Any]:
    stages = yaml.safe_load(lock.read_text())["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}


@contextmanager
def entered(mlops: Mlops, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    """Create the repo in a folder, or use the one there, with the variables of its own."""
    (folder / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "scratch"))
    monkeypatch.setenv("TMPDIR", str(folder / "scratch"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
    monkeypatch.setenv("LOG", str(folder / "log"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield Toy(mlops, folder, monkeypatch)
    mlops("settings").settings.cache_clear()
    assert not list((folder / "scratch").iterdir()), "a scratch folder was left behind"


@pytest.fixture
def toy(mlops: Mlops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    with entered(mlops, tmp_path, monkeypatch) as toy:
        yield toy


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, mlops: Mlops) -> Path:
    """A folder with the repo after `Toy.repro`, and its remote."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch, entered(mlops, folder, patch) as toy:
        toy.repro()
    return folder


@pytest.fixture
def reproduced(
    mlops: Mlops, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Toy]:
    """A copy of the repo after `Toy.repro`, and of its remote."""
    for name in ("repo", "remote"):
        shutil.copytree(finished / name, tmp_path / name)
    with entered(mlops, tmp_path, monkeypatch) as toy:
        yield toy


def test_stages_in_fresh_folders_make_the_same_bytes_as_dvc_repro(toy: Toy) -> None:
    assert toy.run(*STAGES) == ["ingest", "features", "features", "train", "report"]
    recorded = toy.recorded()
    assert not (toy.repo / "dvc.lock").exists()
    assert recorded == toy.repro()


def test_unchanged_stages_are_skipped_in_a_fresh_folder(reproduced: Toy) -> None:
    assert reproduced.run(*STAGES) == []
    assert reproduced.recorded() == digests(reproduced.repo / "dvc.lock")


@pytest.mark.parametrize(
    ("file", "old", "new", "commands"),
    [
        (
            "params.yaml",
            '"rows": 3',
            '"rows": 4',
            ["ingest", "features", "features", "train", "report"],
        ),
        ("dvc.yaml", "step features", "step  features", ["features", "features"]),
    ],
)
def test_a_change_reruns_what_follows_with_the_right_inputs(
    reproduced: Toy, file: str, old: str, new: str, commands: list[str]
) -> None:
    reproduced.change(old, new, file)
    assert reproduced.run(*STAGES) == commands
    assert reproduced.recorded() == reproduced.repro()


def test_persistent_outs_are_made_once_per_run(toy: Toy) -> None:
    toy.change("outs: [report]", "outs: [{report: {persist: true}}]", "dvc.yaml")
    toy.repro()
    assert toy.run(*STAGES, run_id="r1") == ["report"]
    assert toy.run("report", run_id="r1") == []
    assert toy.run(*STAGES, run_id="r2") == ["report"]


def test_change_in_a_part_that_a_stage_does_not_read_does_not_rerun_it(reproduced: Toy) -> None:
    reproduced.change('write_text("b")', 'write_text("B")', "src/toy/step.py")
    reproduced.change(", src/toy/step.py", "", "dvc.yaml")
    reproduced.change("params: [rows]", "params: [rows]\n    deps: [src/toy/step.py]", "dvc.yaml")
    assert reproduced.run(*STAGES) == ["ingest"]


def test_unpushed_out_and_new_out_are_made(reproduced: Toy) -> None:
    shutil.rmtree(reproduced.remote)
    assert reproduced.run("ingest", run_id="r1") == ["ingest"]
    assert reproduced.run("ingest", run_id="r2") == []
    reproduced.change("outs: [data/raw]", "outs: [data/raw, data/new]", "dvc.yaml")
    reproduced.write(
        "src/toy/step.py", FILES["src/toy/step.py"] + 'Path("data/new").write_text("new")\n'
    )
    assert reproduced.run("ingest", run_id="r3") == ["ingest"]


def test_second_start_does_nothing(toy: Toy) -> None:
    toy.change("params: [rows]", "params: [rows]\n    always_changed: true", "dvc.yaml")
    toy.run("ingest", "features@x")
    before = {path: path.stat().st_mtime_ns for path in toy.pushed()}
    assert toy.run("ingest", "features@x") == []
    assert {path: path.stat().st_mtime_ns for path in toy.pushed()} == before
    assert toy.run("ingest", run_id="r2") == ["ingest"]


def test_environments_on_one_remote_share_no_run(toy: Toy) -> None:
    toy.change("params: [rows]", "params: [rows]\n    always_changed: true", "dvc.yaml")
    toy.monkeypatch.setenv("MLOPS_ENVIRONMENT", "staging")
    assert toy.run("ingest", "features@x") == ["ingest", "features"]
    toy.monkeypatch.setenv("MLOPS_ENVIRONMENT", "prod")
    with pytest.raises(toy.mlops("errors").Problem, match=r"run prod/r1 .*no entry for ingest"):
        toy.run("features@x")
    assert toy.run("ingest", "features@x") == ["ingest", "features"]
    entries = {file.relative_to(toy.remote).as_posix() for file in toy.remote.rglob("ingest.lock")}
    assert entries == {"runs/staging/r1/ingest.lock", "runs/prod/r1/ingest.lock"}


def test_projects_on_one_remote_do_not_read_each_others_runs(toy: Toy) -> None:
    toy.run("ingest")
    toy.change('name = "toy"', 'name = "other"', "pyproject.toml")
    with pytest.raises(toy.mlops("errors").Problem, match=r"run r1 in .* is a run of toy: give"):
        toy.run("features@x")


def test_always_changed_stages_run_once_under_the_same_variables(toy: Toy) -> None:
    toy.change("params: [rows]", "params: [rows]\n    always_changed: true", "dvc.yaml")
    toy.change("outs: [report]", "outs: [{report: {persist: true}}]", "dvc.yaml")
    toy.run(*STAGES)
    for name in ("MLOPS_PREDICTIONS", "MLOPS_MODEL_VERSION", "MLFLOW_TRACKING_URI"):
        toy.monkeypatch.setenv(name, "sqlite:///another")
        assert toy.run("ingest") == ["ingest"], name
        assert toy.run("ingest") == [], name
    assert toy.run("ingest", "ingest", date="2013-12-30") == ["ingest"]
    toy.monkeypatch.setenv("MLOPS_RUN_ROUND", "1")  # someone restarts the last stage
    assert toy.run("report", "report") == ["report"]
    assert toy.run(*STAGES) == ["ingest"]


def test_run_without_the_previous_stage_is_reported(reproduced: Toy) -> None:
    with pytest.raises(reproduced.mlops("errors").Problem, match=r"run r9 .*features@x.*type"):
        reproduced.run("train", run_id="r9")


def test_stage_of_another_file_is_read_from_its_committed_entry(toy: Toy) -> None:
    step = "python -S -m toy.step score scores/0 model/m"
    toy.write(
        "batch/dvc.yaml",
        f"stages: {{s: {{wdir: .., cmd: {step}, deps: [model/m], outs: [scores/0]}}}}",
    )
    with pytest.raises(toy.mlops("errors").Problem, match=r"dvc.lock has no entry for train"):
        toy.run("batch/dvc.yaml:s")
    toy.repro()
    assert toy.run("batch/dvc.yaml:s") == ["score"]
    assert (toy.remote / "runs/r1/batch/s.lock").exists()


def test_failed_command_pushes_nothing(toy: Toy, capfd: pytest.CaptureFixture[str]) -> None:
    toy.run(*STAGES[:3])
    before = toy.pushed()
    toy.change('"fail": false', '"fail": true')
    with pytest.raises(toy.mlops("errors").Problem, match=r"'train'.* exited with 1") as caught:
        toy.run("train")
    assert "\n" not in str(caught.value)
    assert "it does not converge" in capfd.readouterr().err
    assert toy.pushed() == before
    toy.change('"fail": true', '"fail": false')
    assert toy.run("train") == ["train"]


def test_killed_stage_pushes_nothing(toy: Toy) -> None:
    toy.run(*STAGES[:3])
    before = toy.pushed()
    toy.change('"wait": 0', '"wait": 60')
    process = toy.start("train")
    deadline = time.monotonic() + 20
    while "train" not in toy.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == ""
    assert process.returncode == 143
    assert time.monotonic() - start < 10
    assert toy.pushed() == before


def test_stages_of_a_run_can_run_in_parallel(toy: Toy) -> None:
    toy.run("ingest")
    processes = [toy.start(name) for name in ("features@x", "features@y")]
    for process in processes:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    assert toy.run("train") == ["train"]
    assert toy.recorded() | toy.repro() == toy.repro()


def test_command_gets_its_environment(toy: Toy, capfd: pytest.CaptureFixture[str]) -> None:
    here = toy.container()
    toy.run("ingest", run_id="manual__2026-01-01T00:00:00+00:00", folder=here, date="2013-12-30")
    out = capfd.readouterr().out
    assert "date 2013-12-30\n" in out
    tracking = f"sqlite:///{here}/.mlflow/mlflow.db"
    assert f"step ingest manual__2026-01-01T00:00:00+00:00 {tracking}\n" in out
    assert f"from {toy.folder}/scratch/mlops-" in out
    assert not (here / "data").exists()


def test_copy_has_gits_files_and_no_outs(reproduced: Toy) -> None:
    reproduced.change("cmd: python", "cmd: find . | sort > $LOG && python", "dvc.yaml")
    reproduced.write(".gitignore", "/ignored\n/forced\n/.dvc/tmp\n/.dvc/cache\n")
    for name in ("ignored/x", "forced", "new file"):
        reproduced.write(name, "")
    plain = reproduced.run("ingest", folder=reproduced.repo)
    subprocess.run(["git", "init", "-q"], cwd=reproduced.repo, check=True)
    subprocess.run(["git", "add", "-f", "forced"], cwd=reproduced.repo, check=True)
    tracked = reproduced.run("ingest", folder=reproduced.repo, run_id="r2")
    assert not {"./data/raw/a", "./report"} & {*plain, *tracked}
    assert {"./params.yaml", "./new", "./src/toy/step.py"} <= set(plain) & set(tracked)
    assert "./ignored" not in plain + tracked
    assert ("./forced" in plain, "./forced" in tracked) == (False, True)


def test_remote_relative_to_the_repo_and_from_the_environment(toy: Toy) -> None:
    toy.write(".dvc/config", "[core]\nremote = r\n['remote \"r\"']\nurl = ../../remote\n")
    assert toy.run("ingest") == ["ingest"]
    assert set(toy.recorded()) == {"data/raw"}
    toy.monkeypatch.setenv("MLOPS_DVC_REMOTE", str(toy.folder / "other"))
    assert toy.run("ingest") == ["ingest"]
    assert (toy.folder / "other/runs/r1/ingest.lock").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "no default DVC remote: type `dvc remote add --default"),
        ("[core]\nremote = r\n['remote \"r\"']\nurl = ../pyproject.toml\n", "failed: .*directory"),
        ("[core]\nremote = r\n['remote \"r\"']\nurl = nosuch://x\n", "nosuch"),
    ],
)
def test_unusable_remote_is_reported_in_one_line(toy: Toy, config: str, message: str) -> None:
    toy.write(".dvc/config", config)
    with pytest.raises(toy.mlops("errors").Problem, match=message) as caught:
        toy.run("ingest")
    assert "\n" not in str(caught.value)


def test_missing_bytes_input_and_stage_are_reported(toy: Toy) -> None:
    problem = toy.mlops("errors").Problem
    toy.run("ingest")
    shutil.rmtree(toy.remote / "files")
    with pytest.raises(problem, match="data/raw") as caught:
        toy.run("features@x")
    assert "\n" not in str(caught.value)
    with pytest.raises(problem, match="no stage 'fit': type one of features@x, features@y, ingest"):
        toy.run("fit")
    (toy.repo / "src/toy/step.py").unlink()
    with pytest.raises(problem, match=r"features@x reads .*step.py.*: no such file"):
        toy.run("features@x")


def test_run_ids_become_names_of_folders(mlops: Mlops) -> None:
    safe = mlops("runner.remote").safe
    assert safe("train-x7k2p.1_a") == "train-x7k2p.1_a"
    ids = ["a:b", "a/b", "a-b", "../a-b", "..", ".", "é", "a b", " ", "A" * 101, "A" * 102]
    names = [safe(run_id) for run_id in ids if run_id.strip()]
    assert len({*names}) == len(names)
    assert all(name.strip("-.A0123456789abcdef") == "" or "/" not in name for name in names)
    assert not any(name.startswith(".") for name in names)
    for empty in ("", " "):
        with pytest.raises(mlops("errors").Problem, match="type `--run-id ID`"):
            safe(empty)
