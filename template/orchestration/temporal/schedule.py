"""Makes Temporal's Schedules equal to pipelines.json; run at every deployment.

What a person paused stays paused. Environment: as for worker.py, and MLOPS_SUSPEND, the pipelines
that no schedule starts: true (all), or names with commas between them.
"""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import replace

from graph import Pipeline, pipelines, project
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


async def sync(
    client: Client,
    graphs: Iterable[Pipeline],
    prefix: str,
    task_queue: str,
    suspend: str = "",
) -> None:
    """Create or update the schedules of the pipelines; delete what is the prefix's beside them."""
    wanted = {f"{prefix}.{graph.name}": graph for graph in graphs if graph.schedule}
    for id, graph in wanted.items():
        held = suspend == "true" or graph.name in suspend.split(",")
        await _put(client, id, _schedule(id, graph, task_queue), held)
        print(f"{id}: {graph.schedule} (UTC)")
    async for found in await client.list_schedules():
        if found.id.rpartition(".")[0] == prefix and found.id not in wanted:
            await client.get_schedule_handle(found.id).delete()
            print(f"{found.id}: deleted")


def _schedule(id: str, graph: Pipeline, task_queue: str) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            PipelineWorkflow.run, graph, id=id, task_queue=task_queue
        ),
        spec=ScheduleSpec(cron_expressions=[graph.schedule], time_zone_name="UTC"),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )


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
    """Bring the schedules of the server that the environment names up to date."""
    suspend = os.environ.get("MLOPS_SUSPEND", "")
    await sync(await connect(), pipelines().values(), project(), queue(), suspend)


if __name__ == "__main__":
    command(lambda: asyncio.run(main()))
