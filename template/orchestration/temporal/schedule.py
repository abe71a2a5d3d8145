"""Sync Temporal's Schedules with pipelines.json; runs at every deployment.

Schedules paused by hand stay paused. Environment: as for worker.py, and MLOPS_SUSPEND, the
pipelines without a schedule: true (all), or a comma-separated list.
"""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from croniter import croniter
from graph import Pipeline, pipelines, project, scope
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from worker import command, connect, queue
from workflow import PipelineWorkflow

SUSPENDED = "suspended by the chart's values"
POLL = 5.0
# A live worker polls its queue once a minute.
ALIVE = timedelta(seconds=90)
# Time for a deployment to replace the worker.
PATIENCE = timedelta(seconds=180)


async def sync(
    client: Client,
    graphs: Iterable[Pipeline],
    prefix: str,
    task_queue: str,
    suspend: str = "",
) -> None:
    """Create or update the schedules of the pipelines; delete others with the prefix."""
    scheduled = {f"{prefix}.{graph.name}": graph for graph in graphs if graph.schedule}
    for id, graph in scheduled.items():
        suspended = suspend == "true" or graph.name in suspend.split(",")
        await _put(client, id, _schedule(id, graph, task_queue), suspended)
        print(f"{id}: {graph.schedule} (UTC)")
    for id in await _ids(client, prefix):
        if id not in scheduled:
            await client.get_schedule_handle(id).delete()
            print(f"{id}: deleted")


async def retire(client: Client, prefix: str, task_queue: str, patience: timedelta) -> None:
    """Delete the schedules with this prefix, unless a worker keeps serving their queue.

    Releases before 0.4.3 had no environment in the names of schedules. If another environment still
    runs such a release on the same server, they belong to it, until it is updated.
    """
    end = datetime.now(UTC) + patience
    for id in await _ids(client, prefix):
        handle = client.get_schedule_handle(id)
        action = (await handle.describe()).schedule.action
        its_queue = getattr(action, "task_queue", "")
        while (served := its_queue != task_queue and await _served(client, its_queue)) and (
            datetime.now(UTC) < end
        ):
            await asyncio.sleep(POLL)
        if served:
            print(f"{id}: kept: a worker of an earlier release serves its queue {its_queue}")
        else:
            await handle.delete()
            print(f"{id}: deleted: its name lacks the environment")


async def _ids(client: Client, prefix: str) -> list[str]:
    ids = [schedule.id async for schedule in await client.list_schedules()]
    return sorted(id for id in ids if id.rpartition(".")[0] == prefix)


async def _served(client: Client, task_queue: str) -> bool:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    pollers = (await client.workflow_service.describe_task_queue(request)).pollers
    times = [poller.last_access_time.ToDatetime(tzinfo=UTC) for poller in pollers]
    return any(datetime.now(UTC) - time < ALIVE for time in times)


def _schedule(id: str, graph: Pipeline, task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            PipelineWorkflow.run, graph, id=id, task_queue=task_queue
        ),
        spec=ScheduleSpec(cron_expressions=crons(graph.schedule), time_zone_name="UTC"),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP, catchup_window=shortest_gap(graph.schedule)
        ),
    )


def crons(schedule: str) -> list[str]:
    """Return cron expressions that mean in Temporal what `schedule` means in the other engines.

    In cron, an expression that restricts both day of month and weekday matches days with either.
    Temporal requires both, but accepts several expressions.
    """
    minute, hour, day, month, weekday = schedule.split()
    if "*" in (day, weekday):
        return [schedule]
    return [f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"]


def shortest_gap(schedule: str) -> timedelta:
    """Return the least time between two runs; after downtime, only the last one starts."""
    runs = islice(croniter(schedule, datetime.now(UTC)).all_next(datetime), 50)
    return min(after - before for before, after in pairwise(runs))


async def _put(client: Client, id: str, schedule: Schedule, suspend: bool) -> None:
    def update(old: ScheduleUpdateInput) -> ScheduleUpdate:
        state = _state(old.description.schedule.state, suspend)
        return ScheduleUpdate(replace(schedule, state=state))

    try:
        await client.create_schedule(id, replace(schedule, state=_state(ScheduleState(), suspend)))
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(id).update(update)


def _state(old: ScheduleState, suspend: bool) -> ScheduleState:
    ours = old.note == SUSPENDED
    if suspend and not old.paused:
        return ScheduleState(note=SUSPENDED, paused=True)
    return ScheduleState() if ours and not suspend else old


async def main() -> None:
    """Sync the schedules of the server named in the environment."""
    client, suspend = await connect(), os.environ.get("MLOPS_SUSPEND", "")
    await sync(client, pipelines().values(), scope(), queue(), suspend)
    if scope() != project():
        await retire(client, project(), queue(), PATIENCE)


if __name__ == "__main__":
    command(lambda: asyncio.run(main()))
