"""The workflow: each stage of a pipeline is an activity that starts once its needs are done.

Runs in progress replay this code: guard changes to the order of its commands with
`workflow.patched`. The replay of history.json in test_temporal.py fails without it.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    TimeoutError,
    TimeoutType,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from graph import Call, Pipeline, Stage

HEARTBEAT = timedelta(seconds=30)
# The activity enforces the stage's timeout itself, to report the last lines of output.
MARGIN = timedelta(minutes=1)
WORKER_STOPPED = "WorkerStopped"
LOST_WORKERS = 3
# Characters of a run's failure: the server rejects one of 2 MB, which many stages could exceed.
REASONS = 100_000
SCHEDULED = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@workflow.defn(name="pipeline")
class PipelineWorkflow:
    """Runs the stages; if one fails, skips those that need it, and fails at the end."""

    @workflow.init
    def __init__(self, pipeline: Pipeline) -> None:
        """Start with all stages waiting."""
        self._date = pipeline.date or _due()
        self._states = {stage.id: "waiting" for stage in pipeline.stages}
        self._reasons: list[str] = []

    @workflow.query
    def states(self) -> dict[str, str]:
        """Return the state of each stage: waiting, running, done, failed, cancelled or not run."""
        return self._states

    @workflow.run
    async def run(self, pipeline: Pipeline) -> dict[str, str]:
        """Run all stages; return their states if all are done."""
        tasks: dict[str, asyncio.Task[bool]] = {}
        for stage in pipeline.stages:
            needs = [tasks[need] for need in stage.needs]
            tasks[stage.id] = asyncio.create_task(self._stage(pipeline.name, stage, needs))
        for result in await asyncio.gather(*tasks.values(), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        if self._reasons:
            raise ApplicationError("\n".join(self._reasons)[:REASONS])
        return self._states

    async def _stage(self, pipeline: str, stage: Stage, needs: list[asyncio.Task[bool]]) -> bool:
        if not all([await need for need in needs]):
            self._set(stage, "not run")
            return False
        # Not run_id: a run reset to a stage finds the outputs of the stages before it.
        call = Call(workflow.info().original_execution_run_id, pipeline, stage, self._date)
        self._set(stage, "running")
        try:
            await _execute(call)
        except ActivityError as error:
            if is_cancelled_exception(error):
                self._set(stage, "cancelled")
                raise
            self._set(stage, "failed")
            self._reasons.append(f"{stage.id}: {getattr(error.cause, 'message', error)}")
            return False
        self._set(stage, "done")
        return True

    def _set(self, stage: Stage, state: str) -> None:
        self._states[stage.id] = state
        workflow.set_current_details("\n".join(f"- {id}: {s}" for id, s in self._states.items()))
        workflow.logger.info("%s: %s", stage.id, state)


def _due() -> str:
    """Return when a Schedule was due to start this, also in a backfill; otherwise ""."""
    moment = workflow.info().typed_search_attributes.get(SCHEDULED)
    return moment.isoformat() if moment else ""


async def _execute(call: Call) -> None:
    """Run the activity; if its worker stops, run it again with all its retries."""
    for remaining in reversed(range(LOST_WORKERS + 1)):
        try:
            await workflow.execute_activity(
                "run_stage",
                call,
                summary=call.stage.id,
                start_to_close_timeout=timedelta(seconds=call.stage.timeout) + MARGIN,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=RetryPolicy(maximum_attempts=call.stage.retries + 1),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ActivityError as error:
            if not remaining or not _worker_lost(error.cause):
                raise
        else:
            return


def _worker_lost(cause: BaseException | None) -> bool:
    if isinstance(cause, TimeoutError):
        return cause.type == TimeoutType.HEARTBEAT
    return isinstance(cause, ApplicationError) and cause.type == WORKER_STOPPED
