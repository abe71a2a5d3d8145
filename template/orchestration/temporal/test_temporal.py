"""Tests of the Temporal adapter, on Temporal's development server, with a stub of `mlops stage`.

In the engine's environment: `pytest orchestration/temporal`. After an intended change of the
workflow, delete history.json; the next test run records it again.
"""

import asyncio
import io
import json
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace as Object
from typing import Any, TypeVar

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import activities  # noqa: E402
import job  # noqa: E402
import schedule  # noqa: E402
import worker as worker_module  # noqa: E402
import workflow as workflow_module  # noqa: E402
from croniter import croniter  # noqa: E402
from graph import Call, Pipeline, Stage, pipelines, project  # noqa: E402
from temporalio import workflow  # noqa: E402
from temporalio.activity import ActivityCancellationDetails  # noqa: E402
from temporalio.api.common.v1 import WorkflowExecution  # noqa: E402
from temporalio.api.enums.v1 import EventType  # noqa: E402
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest  # noqa: E402
from temporalio.client import (  # noqa: E402
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleBackfill,
    ScheduleDescription,
    ScheduleOverlapPolicy,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowHistory,
)
from temporalio.exceptions import ApplicationError, CancelledError  # noqa: E402
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment  # noqa: E402
from temporalio.worker import Replayer  # noqa: E402
from urllib3 import HTTPResponse  # noqa: E402
from worker import worker  # noqa: E402
from workflow import PipelineWorkflow  # noqa: E402

T = TypeVar("T")
Handle = WorkflowHandle[PipelineWorkflow, dict[str, str]]

MLOPS = f"""#!{sys.executable}
import os, signal, sys, time
from pathlib import Path
_, command, stage, _, run, option, date = sys.argv
assert (command, option) == ("stage", "--date")
def note(what):
    words = stage, what, os.getpid(), run, os.environ["MLOPS_ENGINE"], date
    with open("notes", "a") as file:
        print(*words, file=file)
note("start")
with open("rounds", "a") as file:
    print(stage, run, os.environ["MLOPS_RUN_ROUND"], file=file)
plan = Path("plan", stage)
exec(plan.read_text() if plan.exists() else "")
note("end")
"""
KILL_ONCE = "plan.unlink(); os.kill(os.getpid(), signal.SIGKILL)"
FAIL = "print('auc 0.61 is below the floor 0.70', file=sys.stderr); sys.exit(1)"
FORK_AND_SLEEP = "os.fork() or note('child'); note('sleep'); time.sleep(60)"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); note('sleep'); time.sleep(60)"
MEET = """
Path(stage + ".here").touch()
while len(list(Path().glob("*.here"))) < 2:
    time.sleep(0.05)
"""


def a_stage(id: str, *needs: str, retries: int = 2, timeout: int = 60, gpu: int = 0) -> Stage:
    return Stage(id, id, list(needs), {"cpu": "1", "memory": "2Gi"}, gpu, retries, timeout)


def chain(*ids: str) -> Pipeline:
    return Pipeline("p", "", [a_stage(id, *ids[max(i - 1, 0) : i]) for i, id in enumerate(ids)])


SEVEN = chain("ingest", "features", "dataset", "train", "evaluate", "gate", "register")


class Repo:
    """A repo with a stub of `mlops stage` that runs the code in plan/STAGE and logs events."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mlops = folder / ".venv/bin/mlops"
        self.mlops.parent.mkdir(parents=True)
        self.mlops.write_text(MLOPS)
        self.mlops.chmod(0o755)
        (folder / "plan").mkdir()

    def plan(self, **stages: str) -> None:
        for stage, code in stages.items():
            (self.folder / "plan" / stage).write_text(code)

    def notes(self, event: str) -> list[list[str]]:
        """Return stage, event, process, run, engine and, if set, date of each such event."""
        file = self.folder / "notes"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.split() for line in lines if line.split()[1] == event]

    def stages(self, event: str) -> list[str]:
        return [note[0] for note in self.notes(event)]

    async def until(self, event: str, count: int = 1) -> None:
        async with asyncio.timeout(10):
            while len(self.notes(event)) < count:
                await asyncio.sleep(0.05)

    def alive(self) -> bool:
        pids = {note[2] for event in ("start", "child", "sleep") for note in self.notes(event)}
        stats = [Path(f"/proc/{pid}/stat") for pid in pids]
        return any(s.exists() and s.read_text().rpartition(")")[2].split()[0] != "Z" for s in stats)


class Server:
    """The development server, and the event loop of its clients."""

    def __init__(self, loop: asyncio.Runner, client: Client) -> None:
        self.loop = loop
        self.client = client

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    @asynccontextmanager
    async def started(self, pipeline: Pipeline) -> AsyncIterator[Handle]:
        id = f"{pipeline.name}-{time.time_ns()}"
        async with worker(self.client, id, identity="test"):
            yield await self.start(pipeline, id)

    async def start(self, pipeline: Pipeline, id: str) -> Handle:
        return await self.client.start_workflow(
            PipelineWorkflow.run, pipeline, id=id, task_queue=id
        )

    def end(self, pipeline: Pipeline) -> tuple[dict[str, str], str, Handle]:
        """Run a pipeline; return the final states of its stages, its failure, and its handle."""

        async def work() -> tuple[dict[str, str], str, Handle]:
            async with self.started(pipeline) as handle:
                try:
                    return await handle.result(), "", handle
                except WorkflowFailureError as error:
                    return await handle.query(PipelineWorkflow.states), str(error.cause), handle

        return self.run(work())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with asyncio.Runner() as loop:
        start = WorkflowEnvironment.start_local(
            dev_server_existing_path=shutil.which("temporal"),
            dev_server_log_level="error",
            identity="test",
        )
        environment = loop.run(start)
        yield Server(loop, environment.client)
        loop.run(environment.shutdown())
    time.sleep(0.2)  # for the SDK's threads to end: see worker.command


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    repo = Repo(tmp_path)
    monkeypatch.setattr(activities, "REPO", tmp_path)
    monkeypatch.setattr(activities, "MLOPS", repo.mlops)
    monkeypatch.setattr(activities, "GRACE", 1.0)
    monkeypatch.delenv("MLOPS_IMAGE", raising=False)
    return repo


def test_stages_run_in_order_as_one_run(server: Server, repo: Repo) -> None:
    states, reason, handle = server.end(SEVEN)
    ids = [stage.id for stage in SEVEN.stages]
    assert not reason
    assert states == dict.fromkeys(ids, "done")
    assert repo.stages("start") == repo.stages("end") == ids
    assert {tuple(note[3:]) for note in repo.notes("end")} == {(handle.result_run_id, "temporal")}


def test_what_does_not_depend_on_each_other_runs_at_once(server: Server, repo: Repo) -> None:
    repo.plan(b=MEET, c=MEET)
    stages = [a_stage("a"), a_stage("b", "a"), a_stage("c", "a"), a_stage("d", "b", "c")]
    assert server.end(Pipeline("diamond", "", stages))[1] == ""
    assert repo.stages("start")[0] == "a"
    assert repo.stages("end")[-1] == "d"


def test_failing_stage_fails_the_run_and_what_needs_it_is_not_run(
    server: Server, repo: Repo
) -> None:
    repo.plan(gate=FAIL)
    stages = [a_stage("gate", retries=0), a_stage("register", "gate"), a_stage("aside")]
    states, reason, _ = server.end(Pipeline("failing", "", stages))
    assert reason == "gate: exited with 1\nauc 0.61 is below the floor 0.70"
    assert states == {"gate": "failed", "register": "not run", "aside": "done"}
    assert sorted(repo.stages("start")) == ["aside", "gate"]


def test_failure_is_retried_as_often_as_the_stage_says(server: Server, repo: Repo) -> None:
    repo.plan(a=FAIL)
    assert server.end(Pipeline("retried", "", [a_stage("a", retries=1)]))[0] == {"a": "failed"}
    assert repo.stages("start") == ["a", "a"]


def test_failure_says_why_however_much_the_stage_prints(server: Server, repo: Repo) -> None:
    """Temporal rejects a failure of some megabytes, and then never sees the attempt end."""
    long = rb"b'auc \xff\0 is too low\n' + b'x' * 5_000_000 + b'\nthe last line\n'".decode()
    repo.plan(a=f"sys.stdout.buffer.write({long}); sys.stdout.flush(); sys.exit(3)")
    states, reason, _ = server.end(Pipeline("loud", "", [a_stage("a", retries=2)]))
    assert states == {"a": "failed"}
    assert repo.stages("start") == ["a", "a", "a"]
    first, *tail = reason.splitlines()
    assert first == "a: exited with 3"
    assert tail[0] == "auc \ufffd\ufffd is too low"
    assert tail[1].startswith("xxx")
    assert tail[-1] == "the last line"
    assert len(reason.encode()) < 4096


def test_killed_stage_is_retried(server: Server, repo: Repo) -> None:
    repo.plan(b=KILL_ONCE)
    assert server.end(chain("a", "b", "c"))[1] == ""
    assert repo.stages("start") == ["a", "b", "b", "c"]


def test_a_reset_run_works_again_and_a_retry_does_not(server: Server, repo: Repo) -> None:
    """The reset starts at the second stage; the first one keeps its outputs."""
    repo.plan(b=KILL_ONCE)

    async def work() -> list[str]:
        async with server.started(chain("a", "b", "c")) as first:
            await first.result()
            tasks = [
                event.event_id
                async for event in first.fetch_history_events()
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            ]
            reset = await server.client.workflow_service.reset_workflow_execution(
                ResetWorkflowExecutionRequest(
                    namespace=server.client.namespace,
                    workflow_execution=WorkflowExecution(
                        workflow_id=first.id, run_id=first.result_run_id
                    ),
                    request_id=first.id,
                    workflow_task_finish_event_id=tasks[1],
                )
            )
            await server.client.get_workflow_handle(first.id, run_id=reset.run_id).result()
            return [str(first.result_run_id), reset.run_id]

    first, again = server.run(work())
    rounds = [line.split() for line in (repo.folder / "rounds").read_text().splitlines()]
    assert rounds == [
        *(["a", first, first], ["b", first, first], ["b", first, first], ["c", first, first]),
        *(["b", first, again], ["c", first, again]),
    ]


def test_a_repo_that_is_not_set_up_is_not_retried(server: Server, repo: Repo) -> None:
    repo.mlops.unlink()
    assert "make setup" in server.end(chain("a"))[1]
    assert not repo.stages("start")


def test_timeout_ends_the_process(server: Server, repo: Repo) -> None:
    repo.plan(a="print('so far', flush=True);" + FORK_AND_SLEEP)
    reason = server.end(Pipeline("slow", "", [a_stage("a", retries=0, timeout=1)]))[1]
    assert reason == "a: ran longer than 1 s\nso far"
    assert not repo.alive()


@pytest.mark.parametrize("plan", [FORK_AND_SLEEP, STUBBORN], ids=["child", "stubborn"])
def test_cancelled_run_leaves_no_process(server: Server, repo: Repo, plan: str) -> None:
    repo.plan(a=plan)

    async def work() -> dict[str, str]:
        async with server.started(chain("a", "b")) as handle:
            await repo.until("sleep")
            assert repo.alive()
            await handle.cancel()
            with pytest.raises(WorkflowFailureError) as failed:
                await handle.result()
            assert isinstance(failed.value.cause, CancelledError)
            assert not repo.alive()
            return await handle.query(PipelineWorkflow.states)

    assert server.run(work()) == {"a": "cancelled", "b": "waiting"}


def test_a_stopped_worker_costs_no_retry(server: Server, repo: Repo) -> None:
    repo.plan(gate="plan.unlink();" + FORK_AND_SLEEP)

    async def work() -> dict[str, str]:
        id = "handed-over"
        async with worker(server.client, id):
            handle = await server.start(Pipeline("p", "", [a_stage("gate", retries=0)]), id)
            await repo.until("sleep")
        assert not repo.alive()
        async with worker(server.client, id):
            return await handle.result()

    assert server.run(work()) == {"gate": "done"}
    assert repo.stages("start") == ["gate", "gate"]


def test_replay_of_the_workflow(server: Server, repo: Repo) -> None:
    """For a new run, and for one of an earlier release, as it may be in progress in an update."""
    repo.plan(c=KILL_ONCE, d=FAIL)
    stages = [a_stage("a"), a_stage("b", "a"), a_stage("c", "a"), a_stage("d", "b", retries=0)]
    states, _, handle = server.end(Pipeline("recorded", "", [*stages, a_stage("e", "c", "d")]))
    assert states == {"a": "done", "b": "done", "c": "done", "d": "failed", "e": "not run"}
    history = server.run(handle.fetch_history())
    recorded = HERE / "history.json"
    if not recorded.exists():
        events = json.loads(history.to_json(), object_hook=without_stack_trace)
        recorded.write_text(json.dumps(events, indent=1) + "\n")
    earlier = WorkflowHistory.from_json(handle.id, recorded.read_text())
    replayer = Replayer(workflows=[PipelineWorkflow])
    for each in (history, earlier):
        server.run(replayer.replay_workflow(each))
        with pytest.raises(workflow.NondeterminismError):
            server.run(Replayer(workflows=[Changed]).replay_workflow(each))


def without_stack_trace(each: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in each.items() if key != "stackTrace"}


@workflow.defn(name="pipeline", sandboxed=False)
class Changed:
    """A release with a command before the first stage that runs in progress do not have."""

    @workflow.run
    async def run(self, pipeline: Pipeline) -> dict[str, str]:
        await workflow.sleep(1)
        return await PipelineWorkflow(pipeline).run(pipeline)


def test_schedules_follow_the_file(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    graph, client = replace(SEVEN, name="training", schedule="0 5 * * 1"), server.client
    handle = client.get_schedule_handle("shop.training")

    async def listed() -> list[str]:
        return sorted([each.id async for each in await client.list_schedules()])

    async def until(ids: list[str]) -> None:
        async with asyncio.timeout(10):  # the list lags
            while await listed() != ids:
                await asyncio.sleep(0.1)

    async def work() -> None:
        others = [replace(graph, name="batch"), replace(graph, name="by-hand", schedule="")]
        await schedule.sync(client, [graph, *others], "shop", "q")
        await schedule.sync(client, [graph], "shop.two", "q")
        await until(["shop.batch", "shop.training", "shop.two.training"])
        await handle.pause()
        changed = replace(graph, schedule="30 4 * * *", stages=graph.stages[:1])
        for _ in range(2):
            await schedule.sync(client, [changed], "shop", "q")
            await until(["shop.training", "shop.two.training"])
        now = (await handle.describe()).schedule
        assert now.state.paused
        assert [(c.hour[0].start, c.minute[0].start) for c in now.spec.calendars] == [(4, 30)]
        assert isinstance(now.action, ScheduleActionStartWorkflow)
        [argument] = now.action.args
        assert [each["id"] for each in json.loads(argument.data)["stages"]] == ["ingest"]
        assert now.policy.overlap.name == "SKIP"
        await schedule.sync(client, [replace(graph, schedule="")], "shop", "q")
        await until(["shop.two.training"])

    server.run(work())
    assert "shop.training: 30 4 * * * (UTC)" in capsys.readouterr().out


@pytest.fixture
def environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that sets the variables of an environment, as the chart does."""
    graphs = {name: replace(chain("a"), name=name, schedule="0 5 * * 1") for name in ("x", "y")}
    monkeypatch.setattr(schedule, "pipelines", lambda: graphs)
    monkeypatch.setattr(schedule, "POLL", 0.1, raising=False)
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.client.service_client.config.target_host)

    def enter(name: str, suspend: str = "false") -> None:
        monkeypatch.setenv("MLOPS_ENVIRONMENT", name)
        monkeypatch.setenv("MLOPS_SUSPEND", suspend)

    return enter


async def listed(client: Client, *names: str) -> None:
    """Wait until the server lists exactly these schedules of the repo: the list lags."""
    async with asyncio.timeout(10):
        while {
            each.id.removeprefix(f"{project()}.")
            async for each in await client.list_schedules()
            if each.id.startswith(f"{project()}.")
        } != {*names}:
            await asyncio.sleep(0.1)


def test_two_environments_share_a_server(
    server: Server, repo: Repo, environment: Callable[..., None]
) -> None:
    """Each has its own schedules and runs; suspending one does not pause the other."""

    async def work() -> None:
        environment("staging")
        staging = worker_module.queue()
        await schedule.main()
        environment("prod", suspend="x")
        await schedule.main()
        await listed(client, *names)
        handles = {name: client.get_schedule_handle(f"{project()}.{name}") for name in names}
        schedules = {name: (await each.describe()).schedule for name, each in handles.items()}
        assert [name for name in names if schedules[name].state.paused] == ["prod.x"]
        async with worker(client, staging):
            await handles["staging.x"].trigger()
            await repo.until("end")
            await handles["prod.y"].trigger()
            async with asyncio.timeout(10):
                while not (run := (await handles["prod.y"].describe()).info.running_actions):
                    await asyncio.sleep(0.1)
        assert isinstance(run[0], ScheduleActionExecutionStartWorkflow)
        await client.get_workflow_handle(run[0].workflow_id).terminate()
        for handle in handles.values():
            await handle.delete()
        await listed(client)

    client, names = server.client, [f"{env}.{name}" for env in ("staging", "prod") for name in "xy"]
    server.run(work())
    assert len(repo.stages("start")) == 1  # the worker of staging ran nothing of prod


def test_an_update_leaves_no_schedule_without_an_environment(
    server: Server, environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except those that a worker of an earlier release still serves for another environment."""
    monkeypatch.setattr(schedule, "PATIENCE", timedelta())

    async def work() -> None:
        environment("")
        await schedule.main()
        await listed(client, "x", "y")
        async with worker(client, worker_module.queue()):
            environment("staging")
            await schedule.main()
            await listed(client, "x", "y", "staging.x", "staging.y")
        monkeypatch.setattr(schedule, "ALIVE", timedelta())
        await schedule.main()
        await listed(client, "staging.x", "staging.y")
        for name in "xy":
            await client.get_schedule_handle(f"{project()}.staging.{name}").delete()
        await listed(client)

    client = server.client
    server.run(work())


@pytest.mark.parametrize("line", ["0 5 * * 1", "0 5 1 * 1", "0 5 13,20 1,2 5", "0,30 * * * *"])
def test_schedules_mean_what_cron_means(server: Server, line: str) -> None:
    """Day of month or weekday; after an outage, only the last missed run starts."""

    async def work() -> tuple[ScheduleDescription, list[datetime]]:
        graph = replace(SEVEN, name="training", schedule=line)
        await schedule.sync(server.client, [graph], "meaning", "q")
        handle = server.client.get_schedule_handle("meaning.training")
        described = await handle.describe()
        await handle.delete()
        times = croniter(line, described.info.next_action_times[0] - timedelta(seconds=1))
        return described, [*islice(times.all_next(datetime), 10)]

    described, expected = server.run(work())
    assert described.info.next_action_times == expected
    window = described.schedule.policy.catchup_window
    assert timedelta(minutes=10) < window <= min(b - a for a, b in pairwise(expected))


def test_schedules_are_suspended_and_what_a_person_paused_stays_so(server: Server) -> None:
    graph = replace(SEVEN, name="training", schedule="0 5 * * 1")
    handle = server.client.get_schedule_handle("held.training")

    async def sync(suspend: str) -> bool:
        await schedule.sync(server.client, [graph], "held", "q", suspend)
        return (await handle.describe()).schedule.state.paused

    async def work() -> None:
        assert await sync("true")
        assert await sync("batch,training")
        assert not await sync("batch")
        assert await sync("training")
        assert not await sync("false")
        await handle.pause()
        assert await sync("true")
        assert await sync("false")

    server.run(work())


def test_a_scheduled_run_runs(server: Server, repo: Repo) -> None:
    """Now, and for past days: the date of each run is when it was due."""
    due = [datetime(2013, 12, day, 5, tzinfo=UTC) for day in (29, 30)]

    async def work() -> None:
        graph = replace(chain("a", "b"), schedule="0 5 * * *")
        await schedule.sync(server.client, [graph], "cron", "cron")
        handle = server.client.get_schedule_handle("cron.p")
        async with worker(server.client, "cron"):
            await handle.trigger()
            await repo.until("end", 2)
            overlap = ScheduleOverlapPolicy.BUFFER_ALL
            await handle.backfill(ScheduleBackfill(due[0], due[1], overlap=overlap))
            await repo.until("end", 6)

    server.run(work())
    assert repo.stages("end") == ["a", "b"] * 3
    now, *others = [datetime.fromisoformat(note[5]) for note in repo.notes("end")[::2]]
    assert abs((datetime.now(UTC) - now).total_seconds()) < 60
    assert others == due


def test_a_run_is_of_the_day_that_is_asked_for(server: Server, repo: Repo) -> None:
    assert server.end(replace(chain("a"), date="2013-12-30"))[1] == ""
    assert [note[5:] for note in repo.notes("end")] == [["2013-12-30"]]


CALL = Call("run-1", "training", a_stage("train", gpu=1), "2013-12-30")


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "MLOPS_IMAGE": "registry.example/shop@sha256:0",
        "MLOPS_NAMESPACE": "shop",
        "MLOPS_SERVICE_ACCOUNT": "pipeline",
        "MLOPS_ENV": "MLFLOW_TRACKING_URI,NOT_SET",
        "MLOPS_SECRETS": "dvc-remote,mlflow",
        "MLFLOW_TRACKING_URI": "http://mlflow",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("image")
def test_manifest_of_the_job() -> None:
    spec = job.manifest(CALL, "training-train-1", {"mlops/run": "round-1"})["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 60)
    assert spec["ttlSecondsAfterFinished"] > 0
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert pod["serviceAccountName"] == "pipeline"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["image"] == "registry.example/shop@sha256:0"
    assert container["command"] == [
        *("mlops", "stage", "train", "--run-id", "run-1", "--date", "2013-12-30")
    ]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables.pop("OMP_NUM_THREADS", "") is None  # its value comes from limits.cpu
    assert variables == {
        "MLOPS_ENGINE": "temporal",
        "MLOPS_RUN_ROUND": "round-1",
        "MLFLOW_TRACKING_URI": "http://mlflow",
    }
    assert [each["secretRef"]["name"] for each in container["envFrom"]] == ["dvc-remote", "mlflow"]
    limits = {"cpu": "1", "memory": "2Gi", "nvidia.com/gpu": "1"}
    assert container["resources"] == {"requests": limits, "limits": limits}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]


class Cluster:
    """A stub of the Kubernetes API for job.py; Jobs run until `outcome` is set."""

    def __init__(self) -> None:
        self.jobs: dict[str, Object] = {}
        self.outcome = ""
        self.log = b"the last line\n"
        self.deleted: list[str] = []

    def list_namespaced_job(self, namespace: str, label_selector: str) -> Object:
        return Object(items=list(self.jobs.values()))

    def create_namespaced_job(self, namespace: str, body: dict[str, Any]) -> None:
        metadata = Object(name=body["metadata"]["name"], deletion_timestamp=None)
        self.jobs[metadata.name] = Object(metadata=metadata, status=Object(conditions=[]))

    def read_namespaced_job(self, name: str, namespace: str, **_: Any) -> Object:
        job = self.jobs[name]
        if self.outcome:
            condition = Object(type=self.outcome, status="True", message="why", reason="")
            job.status.conditions = [condition]
        return job

    def delete_namespaced_job(self, name: str, namespace: str, **_: Any) -> None:
        self.deleted.append(name)

    def list_namespaced_pod(self, namespace: str, **_: Any) -> Object:
        ended = Object(reason="OOMKilled", exit_code=137)
        state = Object(waiting=None, terminated=ended if self.outcome == "Failed" else None)
        status = Object(container_statuses=[Object(state=state)], conditions=None, phase="Running")
        return Object(items=[Object(metadata=Object(name="pod"), status=status)])

    def read_namespaced_pod_log(self, pod: str, namespace: str, **_: Any) -> HTTPResponse:
        return HTTPResponse(body=io.BytesIO(self.log), preload_content=False)


@pytest.fixture
def cluster(image: None, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr("kubernetes.config.load_config", lambda: None)
    monkeypatch.setattr("kubernetes.client.BatchV1Api", lambda: cluster)
    monkeypatch.setattr("kubernetes.client.CoreV1Api", lambda: cluster)
    monkeypatch.setattr(job, "POLL", 0.05)
    return cluster


def attempt(number: int = 1) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=number)
    return environment


@pytest.mark.parametrize("how", ["worker_shutdown", "timed_out", "not_found"])
def test_an_attempt_attaches_to_the_job_that_runs(cluster: Cluster, how: str) -> None:
    """After its worker stopped, or lost the stage because of a late heartbeat."""

    async def work() -> None:
        stopped = attempt()
        task = asyncio.create_task(stopped.run(activities.run_stage, CALL))
        await asyncio.sleep(0.3)
        stopped.cancel(ActivityCancellationDetails(**{how: True}))
        with pytest.raises((ApplicationError, asyncio.CancelledError)) as lost:
            await task
        if how == "worker_shutdown":
            assert isinstance(lost.value, ApplicationError)
            assert lost.value.type == workflow_module.WORKER_STOPPED
        cluster.outcome = "Complete"
        await attempt(2).run(activities.run_stage, CALL)

    asyncio.run(work())
    assert len(cluster.jobs) == 1
    assert not cluster.deleted


def test_a_failed_job_says_why_and_is_followed_by_another(cluster: Cluster) -> None:
    async def work() -> None:
        cluster.outcome = "Failed"
        with pytest.raises(ApplicationError, match="OOMKilled, killed by SIGKILL\nthe last line"):
            await attempt(1).run(activities.run_stage, CALL)
        with pytest.raises(ApplicationError):
            await attempt(2).run(activities.run_stage, CALL)

    asyncio.run(work())
    assert len(cluster.jobs) == 2
    assert all(len(name) <= 63 for name in cluster.jobs)


def test_a_jobs_log_without_lines_takes_no_memory(cluster: Cluster) -> None:
    cluster.outcome = "Failed"
    cluster.log = b"\xff\0 too low\n" + b"x" * 20_000_000 + b"\nthe last line"
    tracemalloc.start()
    with pytest.raises(ApplicationError) as failed:
        asyncio.run(attempt(1).run(activities.run_stage, CALL))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    lines = failed.value.message.splitlines()
    assert lines[0].endswith("OOMKilled, killed by SIGKILL")
    assert (lines[1], lines[-1]) == ("\ufffd\ufffd too low", "the last line")
    assert len(failed.value.message.encode()) < 4096
    assert peak < 5_000_000


def test_a_cancelled_stage_deletes_its_job(cluster: Cluster) -> None:
    async def work() -> None:
        cancelled = attempt()
        task = asyncio.create_task(cancelled.run(activities.run_stage, CALL))
        await asyncio.sleep(0.3)
        cancelled.cancel(ActivityCancellationDetails(cancel_requested=True))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert cluster.deleted == list(cluster.jobs)


def test_local_run_of_a_failing_gate(repo: Repo, capfd: pytest.CaptureFixture[str]) -> None:
    """The exit code of local.py is that of the run."""
    repo.plan(gate=FAIL)
    folder = repo.folder / "orchestration/temporal"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (repo.folder / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    stages = [a_stage("train"), a_stage("gate", "train", retries=0), a_stage("register", "gate")]
    graph = {"schedule": "", "stages": [vars(stage) for stage in stages]}
    file = repo.folder / "orchestration/pipelines.json"
    file.write_text(json.dumps({"$schema": "", "pipelines": {"training": graph}}))
    assert pipelines(repo.folder)["training"].stages == stages

    def local(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(folder / "local.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = local("training", "--date", "2013-12-30")
    assert done.returncode == 1, done.stderr
    assert repo.stages("start") == ["train", "gate"]
    run = repo.notes("start")[0][3]
    assert repo.notes("start")[0][5] == "2013-12-30"
    for line in (
        f"run {run}",
        "train: done",
        "gate | auc 0.61 is below the floor 0.70",
        "gate: exited with 1",
        "  register              not run",
        "server start-dev --db-filename",
    ):
        assert line in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (repo.folder / ".temporal/temporal.db").exists()
    unknown = local("nightly")
    assert unknown.returncode == 1
    assert unknown.stderr == "no pipeline 'nightly': type one of training\n"
