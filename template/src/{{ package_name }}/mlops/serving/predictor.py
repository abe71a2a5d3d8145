"""The model behind the endpoint: requests that wait are answered together, by one call of it.

A request that is alone is answered at once. Of more, those that came in one pass of the event loop
are a batch: what one row brought of the model into the processor's caches is there for the next,
and for trees that takes longer than to walk them. What asks the online store, or takes long, has a
lane of its own and holds up no other.
"""

import asyncio
import time
import timeit
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from .. import derive
from ..contract import RowPredictor
from ..derive import Derivation
from . import metrics, requests
from .log import Batch, Log
from .lookups import Lookups
from .requests import Row

ROOM = 2_048
"""Requests that may wait for the model."""
QUICK = 0.005
"""Seconds: a batch that takes less keeps the event loop; a thread would take longer to wake."""


class Overloaded(Exception):
    """More requests wait than may."""


@dataclass
class _Waiting:
    rows: list[Row]
    size: int
    request: str
    answer: asyncio.Future[list[dict[str, Any]]]


@dataclass
class _Lane:
    """What waits while a batch is answered; all of it is the next batch."""

    waiting: list[_Waiting] = field(default_factory=list)
    busy: asyncio.Task[None] | None = None

    def take(self) -> list[_Waiting]:
        taken, count = 0, 0
        for one in self.waiting:
            if taken and count + len(one.rows) > requests.MAX_ROWS:
                break
            taken, count = taken + 1, count + len(one.rows)
        batch, self.waiting = self.waiting[:taken], self.waiting[taken:]
        return batch


@dataclass
class Predictor:
    """Answers requests, a batch of them at a time."""

    model: Any
    """As MLflow loads it: it has `predict`."""
    lookups: Lookups
    log: Log
    _soon: _Lane = field(default_factory=_Lane)
    _later: _Lane = field(default_factory=_Lane)
    _model: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _pace: float = QUICK
    """Seconds that the last batch took in the model, a byte of it."""
    _one: RowPredictor | None = field(init=False)
    derivation: Derivation = field(init=False)
    """What the model's own code adds to requests."""
    _few: int = 8
    """Rows that cost less one by one, where the model can do that, than as a table."""

    def __post_init__(self) -> None:
        """Ask the model for its way for one row; one registered by older code has none."""
        self._one = getattr(self.model, "row_predictor", lambda: None)()
        # A model that was registered before there was a hook is asked with what this one adds.
        self.derivation = Derivation(getattr(self.model, "derive", derive.hook)() or derive.hook())
        seen = requests.columns()
        self.log.keys = [key for key in self.lookups.online.keys if key not in seen]

    def try_out(self, row: Row) -> None:
        """Predict a row by both ways: all that they need is in memory, and which is when quicker.

        Raises:
            Problem: the row lacks what neither Feast nor the model's own code adds.
            Lacking: an input is missing that has no default.
        """
        self.derivation.check(self.lookups.online.ttl, self.lookups.online.keys)
        (row,) = self._derived([row])[0]
        one, inputs = self._one, requests.complete(row, {})
        table = _seconds(lambda: records(self.model.predict(requests.frame([inputs]))))
        if one:
            self._few = round(table / _seconds(lambda: one(inputs)))

    async def predict(
        self, rows: list[Row], size: int, request: str = "", *, alone: bool = False
    ) -> list[dict[str, Any]]:
        """Give the predictions, a row a row.

        `size` is the length of the request's body, in bytes, `request` its id in the prediction
        log, and `alone` whether the server has no other.

        Raises:
            Overloaded: too many requests wait.
            Lacking: an input is missing that has no default.
        """
        soon = self._quick(size) and not self.lookups.lacking(rows)
        if soon and alone:
            whole, took = self._derived(rows)
            return self._call(whole, [request] * len(rows), [{}] * len(rows), size, took)
        lane = self._soon if soon else self._later
        if len(lane.waiting) >= ROOM:
            raise Overloaded
        waiting = _Waiting(rows, size, request, asyncio.get_running_loop().create_future())
        lane.waiting.append(waiting)
        if lane.busy is None or lane.busy.done():
            lane.busy = asyncio.create_task(self._drain(lane))
        return await waiting.answer

    async def _drain(self, lane: _Lane) -> None:
        while lane.waiting:
            await self._settle(lane.take())

    async def _settle(self, batch: list[_Waiting]) -> None:
        try:
            found = iter(await self._answer(batch))
        except Exception as error:
            if len(batch) > 1:  # one may be to blame: the others have their answers
                for one in batch:
                    await self._settle([one])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for one in batch:
            part = [next(found) for _ in one.rows]
            if not one.answer.done():
                one.answer.set_result(part)

    async def _answer(self, batch: list[_Waiting]) -> list[dict[str, Any]]:
        rows: Sequence[Row] = [row for one in batch for row in one.rows]
        names = [one.request for one in batch for _ in one.rows]
        size = sum(one.size for one in batch)
        run = self._here if self._quick(size) else self._aside
        rows, took = await run(self._derived, rows)
        served = await self.lookups.served(rows)
        answers: list[dict[str, Any]] = await run(self._call, rows, names, served, size, took)
        return answers

    async def _here(self, work: Callable[..., Any], *given: Any) -> Any:
        return work(*given)

    async def _aside(self, work: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._model, work, *given)

    def _derived(self, rows: Sequence[Row]) -> tuple[Sequence[Row], float]:
        """Add what the model's own code derives; and the seconds that it took."""
        start = time.perf_counter()
        return self.derivation.of(rows, self.lookups.now()), time.perf_counter() - start

    def _quick(self, size: int) -> bool:
        """Whether it is soon done, if it takes by its size what the last batch took."""
        return self._pace * size < QUICK

    def _call(
        self,
        rows: Sequence[Row],
        names: Sequence[str],
        served: Sequence[Row],
        size: int,
        before: float,
    ) -> list[dict[str, Any]]:
        start = time.perf_counter() - before
        inputs = [requests.complete(*both) for both in zip(rows, served, strict=True)]
        if self._one and len(rows) <= self._few:
            predictions = [self._one(row) for row in inputs]
        else:
            predictions = records(self.model.predict(requests.frame(inputs)))
        took = time.perf_counter() - start
        self._pace = took / size
        metrics.MODEL_SECONDS.observe(took)
        metrics.observe(predictions)
        entities = [[row[key] for key in self.log.keys] for row in rows]
        # What waits is no dictionary a row: five times the memory would pass through the caches.
        seen = [tuple(row.values()) for row in inputs]
        self.log.put(Batch(names, entities, seen, predictions, self.lookups.now()))
        return predictions


def _seconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=1, repeat=5))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give a dictionary a row, of Python's own types."""
    names, values = [*table], [column.tolist() for _, column in table.items()]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
