"""MLflow's data survives moves, odd names, parallel commands, deletions and killed processes."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

Enter = Callable[[Path], None]

PYPROJECT = """
[project]
name = "toy"
[tool.mlops]
package = "toy"
tracking-uri = "sqlite:///.mlflow/mlflow.db"
[tool.mlops.pipelines.training]
file = "dvc.yaml"
"""


@pytest.fixture
def enter(mlops: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Enter]:
    """Change into a folder, like a command that is started there."""

    def go(folder: Path) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it
        monkeypatch.chdir(folder)
        mlops("settings").settings.cache_clear()

    yield go
    mlops("settings").settings.cache_clear()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, new_database: Path) -> Path:
    """A repo with an evaluated model and its own MLflow database."""
    folder = tmp_path_factory.mktemp("original")
    for name in ("model", "reports"):
        (folder / name).mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "params.yaml").write_text("gate: {metrics: {auc: {min: 0.5}}}\n")
    (folder / "model/weights").write_text("1")
    (folder / "reports/metrics.json").write_text(json.dumps({"auc": 0.75, "baselines": {}}))
    (folder / "reports/slices.json").write_text("{}")
    shutil.copytree(new_database, folder / ".mlflow")
    return folder


@pytest.fixture
def toy(tmp_path: Path, original: Path, enter: Enter) -> Path:
    """A copy of the repo, in a folder whose name needs quoting."""
    folder = shutil.copytree(original, tmp_path / "a repo, 100%")
    enter(folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_moved_or_copied_repo_keeps_its_own_runs(
    mlops: Any, toy: Path, enter: Enter, how: str
) -> None:
    tracking, digest = mlops("registry.tracking"), mlops("files").digest(Path("model"))
    with tracking.connected() as client:
        run = tracking.create_run(client, "model", {"model_digest": digest, "complete": "yes"})
        own = client.create_run(client.create_experiment("own")).info.run_id
        for each in (run, own):  # by hand: MLflow's client caches where it has written
            folder = Path(unquote(urlsplit(client.get_run(each).info.artifact_uri).path))
            folder.mkdir(parents=True)
            (folder / "kept").touch()
    place = toy.parent / "elsewhere" / "the repo"
    place.parent.mkdir()
    shutil.move(toy, place) if how == "moved" else shutil.copytree(toy, place)
    before = contents(toy)
    enter(place)
    assert tracking.record() == run
    with tracking.connected() as client:
        client.log_artifact(own, "params.yaml")
        assert {file.path for file in client.list_artifacts(run)} == {"kept", "reports"}
        assert {file.path for file in client.list_artifacts(own)} == {"kept", "params.yaml"}
    assert contents(toy) == before
    assert toy.exists() == (how == "copied")


def test_an_explicit_artifact_location_is_kept(mlops: Any, toy: Path, enter: Enter) -> None:
    chosen = (toy.parent / "chosen/artifacts").as_uri()
    with mlops("registry.tracking").connected() as client:
        client.create_experiment("toy", artifact_location=chosen)
    place = shutil.copytree(toy, toy.parent / "copy")
    enter(place)
    with mlops("registry.tracking").connected() as client:
        assert client.get_experiment_by_name("toy").artifact_location == chosen


NAMES = [
    *("precision@100", "precision_100", "precision#100", "f1(macro)", "p99%", "naïve café", "🎉"),
    *("a/b", "a//b", "a/", "/a", "./a", "..", "../a", ".", "", "a:b", "1", "x" * 400, "x" * 401),
]


def test_metrics_and_parameters_may_be_called_anything(
    mlops: Any, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlops("data.dataset"), "judged_on", lambda: "rows")
    scores = {name: 1 + number / 64 for number, name in enumerate(NAMES)}
    files, gate = mlops("files"), mlops("training.gate")
    files.write_json(files.METRICS, {**scores, "baselines": {"a@b": scores}})
    rules = {name: {"min": 0, "max": 9} for name in NAMES}
    model: dict[Any, Any] = {
        7: {2: [3]},
        "long": "x" * 9_000,
        "none": None,
        **dict.fromkeys(NAMES, "é"),
    }
    params = {"model": model, "gate": {"metrics": rules, "baselines": {"a@b": rules}}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    gate.run()
    with mlops("registry.tracking").connected() as client:
        (run,) = client.search_runs([mlops("registry.tracking").experiment(client)])
    metrics = run.data.metrics
    assert sorted(metrics.values()) == sorted([*scores.values()] * 2)
    assert metrics["precision_100"] == scores["precision_100"]
    assert metrics["f1_macro_"] == scores["f1(macro)"]
    assert len(run.data.params) == len(NAMES) + 3
    assert run.data.tags["gate"] == "passed"


def test_concurrent_commands_share_a_new_database(mlops: Any, toy: Path) -> None:
    """One process imports MLflow and forks, so that the children start at the same moment."""
    shutil.rmtree(".mlflow")
    code = (
        "import importlib, os, sys, mlflow\n"
        "tracking, versions = map(importlib.import_module, sys.argv[1:])\n"
        "def command():\n"
        "    try:\n"
        "        tracking.record()\n"
        "        os._exit(versions.champion() is not None)\n"
        "    except BaseException as error:\n"
        "        print(repr(error)[:500], file=sys.stderr, flush=True)\n"
        "        os._exit(1)\n"
        "children = [os.fork() or command() for _ in range(3)]\n"
        "sys.exit(any([os.waitpid(child, 0)[1] for child in children]))\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    names = [mlops(f"registry.{name}").__name__ for name in ("tracking", "versions")]
    done = subprocess.run(
        [sys.executable, "-c", code, *names], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_deleted_experiment_is_reported_and_can_be_restored(mlops: Any, toy: Path) -> None:
    tracking = mlops("registry.tracking")
    run = tracking.record()
    with tracking.connected() as client:
        number = tracking.experiment(client)
        client.delete_experiment(number)
    with pytest.raises(mlops("errors").Problem, match=f"restore --experiment-id {number}`$"):
        tracking.record()
    with tracking.connected() as client:
        client.restore_experiment(number)
    assert tracking.record() == run


@pytest.mark.parametrize(
    ("status", "body", "helps"),
    [
        (200, "<html>", "MLFLOW_TRACKING_URI"),
        (404, "<html>", "MLFLOW_TRACKING_URI"),
        (401, "", "MLFLOW_TRACKING_TOKEN"),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "no"}', "MLFLOW_TRACKING_TOKEN"),
        (503, "", "its server answers with errors"),
        (400, '{"error_code": "INVALID_STATE", "message": "it is full"}', "it is full$"),
    ],
)
def test_a_server_that_refuses_is_distinguished_from_a_wrong_address(
    mlops: Any,
    toy: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: str,
    helps: str,
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://me:hidden@127.0.0.1:{server.server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        mlops("settings").settings.cache_clear()
        with pytest.raises(mlops("errors").Problem, match=helps) as caught:
            mlops("registry.versions").champion()
        server.shutdown()
    message = str(caught.value)
    assert "hidden" not in message
    assert "\n" not in message
    assert ("MLFLOW_TRACKING_URI" in message) == (helps == "MLFLOW_TRACKING_URI")


def test_a_file_that_is_not_a_database_is_reported(mlops: Any, toy: Path) -> None:
    Path(".mlflow/mlflow.db").write_text("not a database, and longer than its header" * 99)
    with pytest.raises(mlops("errors").Problem, match="not a database; move the file away"):
        mlops("registry.versions").champion()


def test_an_interrupted_run_is_marked_as_failed(
    mlops: Any, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = mlops("registry.tracking")

    def ends(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "log", ends)
        with pytest.raises(KeyboardInterrupt):
            tracking.record()
    with tracking.connected() as client:
        (run,) = client.search_runs([tracking.experiment(client)])
    assert run.info.status == "FAILED"
    again = tracking.record()
    with tracking.connected() as client:
        assert client.get_run(again).info.status == "FINISHED"
