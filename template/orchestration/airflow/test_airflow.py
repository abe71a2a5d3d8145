"""The DAGs and the local runner, in a copy of this folder with its own pipelines and stages.

They only need the group `orchestrator`: a script replaces the stages.
"""

import importlib.util
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

pytestmark = pytest.mark.filterwarnings("ignore")

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
        "resources": {"cpu": "2", "memory": "4Gi"},
        "gpu": int(name == "train"),
        "retries": 0 if name == "gate" else 2,
        "timeout": 1800,
    }
    for name, needs in NEEDS.items()
]
SHARDS = [
    STAGES[0] | {"id": "score-0", "stage": "batch/dvc.yaml:score@0", "timeout": 2},
]
PIPELINES = {
    "training": {"schedule": "0 5 * * 1", "stages": STAGES},
    "batch": {"schedule": "", "stages": SHARDS},
}
DIGEST = "sha256:" + "0" * 64
MLOPS = """#!/bin/sh
echo "$2 $4 $MLOPS_ENGINE" >> stages.log
echo "$5 $6" >> dates.log
echo "$4 $MLOPS_RUN_ROUND" >> rounds.log
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
    shutil.copytree(HERE, root / "orchestration/airflow")
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
            [sys.executable, "orchestration/airflow/local.py", *arguments],
            cwd=repo,
            env=os.environ | {"AIRFLOW__CORE__DAGS_FOLDER": "/nowhere", "MLOPS_ENV": "no"} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return _start


@pytest.fixture
def load(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that loads dags.py as Airflow does."""

    def _load(**env: str) -> Any:
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
        monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        monkeypatch.delenv("MLOPS_ENV", raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location(
            "dags", repo / "orchestration/airflow/dags.py"
        )
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return _load


@pytest.fixture
def chart(repo: Path) -> Path:
    """Return the folder of an environment that has an image."""
    folder = repo / "deploy/envs/staging"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE.parents[1] / "deploy/chart", repo / "deploy/chart", dirs_exist_ok=True)
    (folder / "values.yaml").write_text(
        "image: {repository: registry.example/pipeline, tag: old}\n"
        "env: {MLFLOW_TRACKING_URI: 'http://mlflow'}\n"
        "envFrom: [late-flights-storage]\n"
        "nodeSelector: {pool: batch}\n"
        "labels: {team: flights}\n"
        "podAnnotations: {rotated: 2026-11-30}\n"
        "monitoring: {pushgateway: 'push.monitoring:9091'}\n"
    )
    (folder / "release.yaml").write_text(f"image: {{digest: '{DIGEST}'}}\n")
    return folder


def stages(repo: Path) -> list[list[str]]:
    return [line.split() for line in (repo / "stages.log").read_text().splitlines()]


def test_a_killed_stage_is_retried_and_the_run_succeeds(repo: Path, start: Any) -> None:
    run = start(KILL="train")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    names, runs, engines = zip(*stages(repo), strict=True)
    assert sorted(names) == sorted([*NEEDS, "train"])
    for name, needs in NEEDS.items():
        assert all(names.index(need) < names.index(name) for need in needs)
    assert set(engines) == {"airflow"}
    assert len(set(runs)) == 1
    assert f"Airflow run {runs[0]} of late-flights-training: success" in output
    assert "train                          success          tries: 2" in output


def test_a_failing_stage_fails_the_run_and_what_needs_it_is_not_run(repo: Path, start: Any) -> None:
    run = start(FAIL="gate")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1
    names = [name for name, *_ in stages(repo)]
    assert names.count("gate") == 1
    assert "register" not in names
    assert "mlops gate: accuracy is 0.02 too low" in output
    assert "gate                           failed           tries: 1" in output
    assert "register                       upstream_failed  tries: 0" in output


def test_a_stage_that_takes_too_long_is_ended(repo: Path, start: Any) -> None:
    run = start("batch", HANG="batch/dvc.yaml:score@0")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 1
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


CLEARED = """
import datetime, sys, local
local.isolate()
from dags import DAGS
from airflow.__main__ import main
run = DAGS["batch"].test(logical_date=datetime.datetime(2026, 1, 2, 6, tzinfo=datetime.UTC))
for words in ["clear", "--yes", run.dag_id], ["test", run.dag_id, "score-0", run.run_id]:
    sys.argv = ["airflow", "tasks", *words]
    main()
"""


def test_a_run_is_of_the_day_that_is_asked_for_or_when_it_was_due_also_again(
    repo: Path, start: Any
) -> None:
    def dates() -> set[str]:
        return {*(repo / "dates.log").read_text().splitlines()}

    run = start("batch", "--date", "2013-12-30")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    assert dates() == {"--date 2013-12-30"}
    (repo / "dates.log").unlink()
    (repo / "rounds.log").unlink()
    env = os.environ | {"KILL": "batch/dvc.yaml:score@0"}
    here = repo / "orchestration/airflow"
    subprocess.run([sys.executable, "-c", CLEARED], cwd=here, env=env, check=True)
    assert dates() == {"--date 2026-01-02 06:00:00+00:00"}
    # A retry has the same round; the same run has another one after clearing.
    runs, rounds = zip(*map(str.split, (repo / "rounds.log").read_text().splitlines()), strict=True)
    assert len({*runs}) == 1
    assert rounds == ("0", "0", "1")


def test_an_unknown_pipeline_is_one_clear_line(start: Any) -> None:
    run = start("trainning")
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert output == "no pipeline 'trainning': type one of training, batch\n"


def test_dags_are_the_pipelines(load: Any) -> None:
    dags = load().DAGS
    training, batch = dags["training"], dags["batch"]
    assert (training.dag_id, batch.dag_id) == ("late-flights-training", "late-flights-batch")
    assert {t.task_id: sorted(t.upstream_task_ids) for t in training.tasks} == NEEDS
    assert training.schedule.expression == "0 5 * * 1"
    assert str(training.schedule.timezone) == "UTC"
    assert batch.schedule is None
    assert (training.catchup, training.max_active_runs) == (False, 1)
    train = training.get_task("train")
    assert (train.retries, train.execution_timeout.total_seconds()) == (2, 1800)
    assert "'batch/dvc.yaml:score@0'" not in batch.get_task("score-0").bash_command
    assert "stage batch/dvc.yaml:score@0 " in batch.get_task("score-0").bash_command


def test_airflow_reads_dags_py_alone_and_without_errors(repo: Path, load: Any) -> None:
    load()
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(repo / "orchestration/airflow")
    assert bag.import_errors == {}
    assert sorted(bag.dag_ids) == ["late-flights-batch", "late-flights-training"]
    assert [Path(each.file).name for each in bag.dagbag_stats] == ["dags.py"]


def test_reading_the_dags_is_quick_and_needs_no_training_library(repo: Path) -> None:
    code = """if True:
    import sys, time
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG, CronTriggerTimetable
    before = set(sys.modules)
    start = time.monotonic()
    import dags
    heavy = {"dvc", "feast", "kubernetes", "lightgbm", "mlflow", "pandas", "sklearn"}
    print(time.monotonic() - start, *heavy & (set(sys.modules) - before))
    """
    folder = repo / "orchestration/airflow"
    output = subprocess.check_output([sys.executable, "-c", code], cwd=folder, text=True)
    seconds, *heavy = output.split()
    assert float(seconds) < 2
    assert not heavy


@pytest.mark.usefixtures("chart")
def test_a_pod_is_what_the_stage_and_the_values_ask_for(load: Any) -> None:
    module = load(MLOPS_ENV="staging")
    training, dates = module.DAGS["training"], module.DATE
    from airflow.serialization.serialized_objects import DagSerialization

    assert {t.task_id: sorted(t.upstream_task_ids) for t in training.tasks} == NEEDS
    assert training.is_paused_upon_creation is False
    DagSerialization.serialize_dag(training)
    task = training.get_task("train")
    assert (task.retries, task.execution_timeout.total_seconds()) == (2, 1800 + 900)
    pod = task.build_pod_request_obj(dry_run=True)
    [container] = pod.spec.containers
    assert container.image == f"registry.example/pipeline@{DIGEST}"
    assert container.args == ["stage", "train", "--run-id", "{{ run_id }}", "--date", dates]
    assert "arguments" in task.template_fields
    resources = {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}
    assert container.resources.requests == container.resources.limits == resources
    env = {variable.name: variable.value for variable in container.env}
    assert env["MLOPS_ENGINE"] == "airflow"
    assert env["MLOPS_RUN_ROUND"] == module.ROUND
    assert "pod_template_dict" in task.template_fields
    assert env["MLFLOW_TRACKING_URI"] == "http://mlflow"
    assert env["MLOPS_ENVIRONMENT"] == "staging"
    assert env["MLOPS_PUSHGATEWAY"] == "push.monitoring:9091"
    assert [source.secret_ref.name for source in container.env_from] == ["late-flights-storage"]
    assert container.security_context.read_only_root_filesystem is True
    assert pod.spec.security_context.run_as_non_root is True
    assert pod.spec.service_account_name == "late-flights-pipeline"
    assert pod.spec.node_selector == {"pool": "batch"}
    assert (
        pod.metadata.labels.items()
        >= {
            "team": "flights",
            "app.kubernetes.io/component": "pipeline",
        }.items()
    )
    assert pod.metadata.annotations == {"rotated": "2026-11-30"}
    assert pod.spec.active_deadline_seconds == 1800
    assert pod.metadata.namespace == "late-flights-staging"
    ingest = training.get_task("ingest").build_pod_request_obj(dry_run=True)
    assert "nvidia.com/gpu" not in ingest.spec.containers[0].resources.limits


def test_pods_get_the_model_that_is_released_and_no_other(load: Any, chart: Path) -> None:
    def variables() -> dict[str, str]:
        pod = load(MLOPS_ENV="staging").DAGS["batch"].get_task("score-0")
        [container] = pod.build_pod_request_obj(dry_run=True).spec.containers
        env = {variable.name: variable.value for variable in container.env}
        return {name: value for name, value in env.items() if "MODEL" in name}

    assert variables() == {}
    with (chart / "release.yaml").open("a") as file:
        file.write(f"serving: {{model: {{version: '3', digest: {'a' * 64}}}}}\n")
    expected = {"MLOPS_MODEL_VERSION": "3", "MLOPS_MODEL_DIGEST": "a" * 64}
    assert variables() == expected
    values = (
        (chart / "values.yaml").read_text().replace("env: {", "env: {MLOPS_MODEL_VERSION: '2', ")
    )
    (chart / "values.yaml").write_text(values)
    assert variables() == expected


def test_a_releases_graph_holds_alone_and_no_graph_is_that_of_the_repo(
    load: Any, chart: Path
) -> None:
    """Later changes to the graph do not run with the release's image."""
    ingest, features, *_ = STAGES
    graph = {
        "training": {"schedule": "0 5 * * 1", "stages": [ingest, features | {"id": "older"}]},
        "weekly": {"schedule": "1 2 * * 3", "stages": [ingest]},
    }
    with (chart / "release.yaml").open("a") as file:
        file.write(f"graph: {json.dumps(graph)}\n")
    with (chart / "values.yaml").open("a") as file:
        file.write("suspend: [batch, weekly]\n")
    dags = load(MLOPS_ENV="staging").DAGS
    assert dags.keys() == graph.keys()
    assert dags["training"].task_ids == ["ingest", "older"]
    assert dags["training"].schedule
    assert dags["weekly"].schedule is None
    assert load().DAGS.keys() == PIPELINES.keys()
    assert load().DAGS["training"].task_ids == [stage["id"] for stage in STAGES]


@pytest.mark.parametrize(
    ("suspend", "starts"),
    [("false", True), ("[batch]", True), ("[batch, training]", False), ("true", False)],
)
def test_a_suspended_pipeline_has_no_schedule(
    load: Any, chart: Path, suspend: str, starts: bool
) -> None:
    with (chart / "values.yaml").open("a") as file:
        file.write(f"suspend: {suspend}\n")
    training = load(MLOPS_ENV="staging").DAGS["training"]
    assert bool(training.schedule) == starts
    assert training.is_paused_upon_creation is False


def test_suspending_what_is_not_there_is_an_import_error(load: Any, chart: Path) -> None:
    with (chart / "values.yaml").open("a") as file:
        file.write("suspend: [trainin]\n")
    with pytest.raises(ValueError, match="suspend: there is no pipeline trainin, but training"):
        load(MLOPS_ENV="staging")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("evn: {A: b}", "the values: .*evn"),
        ("env: {A: 1}", "env.A: 1 is not of type 'string'"),
        ("tolerations: [{keys: gpu}]", "tolerations.0: .*keys"),
        ("image: {repository: null, tag: a}", "image.repository is empty"),
    ],
)
def test_what_make_chart_refuses_is_an_import_error(
    load: Any, chart: Path, values: str, message: str
) -> None:
    (chart / "values.yaml").write_text(values)
    with pytest.raises(ValueError, match=f"^deploy/envs/staging: {message}") as caught:
        load(MLOPS_ENV="staging")
    assert "\n" not in str(caught.value)


def test_values_are_merged_as_helm_does(load: Any, chart: Path) -> None:
    """Recursively; null removes earlier values."""
    with (chart / "values.yaml").open("a") as file:
        file.write("serving: {model: {version: '2'}}\nsuspend: true\n")
    (chart / "release.yaml").write_text(
        f"image: {{digest: '{DIGEST}'}}\nenv: {{MLFLOW_TRACKING_URI: null}}\nsuspend: null\n"
        f"serving: {{model: {{digest: {'a' * 64}}}}}\nnodeSelector: {{pool: null}}\n"
    )
    training = load(MLOPS_ENV="staging").DAGS["training"]
    assert training.schedule
    pod = training.get_task("train").build_pod_request_obj(dry_run=True)
    env = {variable.name: variable.value for variable in pod.spec.containers[0].env}
    assert "MLFLOW_TRACKING_URI" not in env
    assert (env["MLOPS_MODEL_VERSION"], env["MLOPS_MODEL_DIGEST"]) == ("2", "a" * 64)
    assert not pod.spec.node_selector


def test_schedules_are_as_all_engines_have_them(load: Any, chart: Path) -> None:
    """Day of month or weekday; after an outage, only the last missed run starts."""
    graph = {"training": {"schedule": "0 5 1 * 1", "stages": STAGES[:1]}}
    with (chart / "release.yaml").open("a") as file:
        file.write(f"graph: {json.dumps(graph)}\n")
    training = load(MLOPS_ENV="staging").DAGS["training"]
    import pendulum
    from airflow.timetables.base import DataInterval, TimeRestriction
    from airflow.timetables.trigger import CronTriggerTimetable

    timetable = CronTriggerTimetable(training.schedule.expression, timezone="UTC")
    run = timetable.next_dagrun_info(
        last_automated_data_interval=DataInterval.exact(pendulum.now("UTC").subtract(days=40)),
        restriction=TimeRestriction(None, None, catchup=training.catchup),
    )
    assert run
    day = pendulum.now("UTC").subtract(hours=5)
    while not (day.day == 1 or day.isoweekday() == 1):
        day = day.subtract(days=1)
    assert run.logical_date == day.start_of("day").add(hours=5)


def test_without_an_image_there_are_no_dags_yet(load: Any, chart: Path) -> None:
    (chart / "release.yaml").unlink()
    (chart / "values.yaml").write_text("image: {repository: registry.example/pipeline}\n")
    assert load(MLOPS_ENV="staging").DAGS == {}


def test_an_environment_that_is_not_there_is_an_import_error(load: Any) -> None:
    with pytest.raises(ValueError, match="MLOPS_ENV is 'prodd', but there is no folder"):
        load(MLOPS_ENV="prodd")
