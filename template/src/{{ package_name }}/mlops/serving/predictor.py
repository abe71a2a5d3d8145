"""The model behind the endpoint: waiting requests are answered together, by one call of it.

A single request is answered at once. Requests that arrive in one pass of the event loop form a
batch: the parts of the model that one row loads into the processor's caches serve the next row, and
with trees, loading them takes longer than walking them. Requests that need the online store, or
are expected to take long, use a separate lane and do not delay the others.
"""

import asyncio
import time
import timeit
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import pandas as pd

from .. import derive
from ..contract import RowPredictor
from ..derive import Derivation
from . import metrics, schema
from .batching import MicroBatcher
from .lookups import Lookups
from .prediction_log import Batch, Log
from .schema import Row

INLINE_SECONDS = 0.005
"""A batch expected to be shorter runs in the event loop; waking a thread would take longer."""


@dataclass(frozen=True)
class Call:
    """The rows of a request."""

    rows: Sequence[Row]
    size: int
    """Length of the request body, in bytes."""
    request: str = ""
    """ID of the request in the prediction log."""


@dataclass
class Predictor:
    """Answers requests in batches."""

    model: Any
    """As loaded by MLflow, with a method `predict`."""
    lookups: Lookups
    log: Log
    _soon: MicroBatcher[Call, list[dict[str, Any]]] = field(init=False)
    _later: MicroBatcher[Call, list[dict[str, Any]]] = field(init=False)
    _model: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _pace: float = INLINE_SECONDS
    """Seconds that the last batch took in the model, per byte of its requests."""
    _one: RowPredictor | None = field(init=False)
    derivation: Derivation = field(init=False)
    """Adds the columns that the model's own code derives from requests."""
    _few: int = 8
    """Largest number of rows that take less time one by one than as a table."""

    def __post_init__(self) -> None:
        """Get the model's single-row predictor; a model registered by older code has none."""
        self._one = getattr(self.model, "row_predictor", lambda: None)()
        self._soon, self._later = (
            MicroBatcher(self._answer, lambda call: len(call.rows), schema.MAX_ROWS)
            for _ in range(2)
        )
        # A model that was registered before the hook existed gets the one of this code.
        self.derivation = Derivation(getattr(self.model, "derive", derive.hook)() or derive.hook())
        inputs = schema.columns()
        self.log.keys = [key for key in self.lookups.online.keys if key not in inputs]

    def try_out(self, row: Row) -> None:
        """Predict a row in both ways: it warms them up, and measures when a table is faster.

        Raises:
            Problem: the row lacks a column that neither Feast nor the model's own code adds.
            Lacking: a missing input has no default.
        """
        self.derivation.check(self.lookups.online.ttl, self.lookups.online.keys)
        (row,) = self._derived([row])[0]
        one, inputs = self._one, schema.complete(row, {})
        table = _seconds(lambda: records(self.model.predict(schema.frame([inputs]))))
        if one:
            self._few = round(table / _seconds(lambda: one(inputs)))

    async def predict(
        self, rows: list[Row], size: int, request: str = "", *, alone: bool = False
    ) -> list[dict[str, Any]]:
        """Return one prediction per row.

        `size` is the length of the request body in bytes, `request` is its id in the prediction
        log, and `alone` is true if the server has no other request in progress.

        Raises:
            Overloaded: too many requests are waiting.
            Lacking: a missing input has no default.
        """
        soon = self._quick(size) and not self.lookups.lacking(rows)
        if soon and alone:
            whole, took = self._derived(rows)
            return self._call(whole, [request] * len(rows), [{}] * len(rows), size, took)
        lane = self._soon if soon else self._later
        return await lane.submit(Call(rows, size, request))

    async def _answer(self, calls: Sequence[Call]) -> list[list[dict[str, Any]]]:
        rows: Sequence[Row] = [row for call in calls for row in call.rows]
        names = [call.request for call in calls for _ in call.rows]
        size = sum(call.size for call in calls)
        run = self._here if self._quick(size) else self._aside
        rows, took = await run(self._derived, rows)
        served = await self.lookups.served(rows)
        answers: list[dict[str, Any]] = await run(self._call, rows, names, served, size, took)
        ends = [*accumulate(len(call.rows) for call in calls)]
        return [answers[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    async def _here(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    async def _aside(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._model, work, *args)

    def _derived(self, rows: Sequence[Row]) -> tuple[Sequence[Row], float]:
        """Return the rows with the derived columns, and the seconds that it took."""
        start = time.perf_counter()
        return self.derivation.apply(rows, self.lookups.now()), time.perf_counter() - start

    def _quick(self, size: int) -> bool:
        """Return whether a batch of that size is expected to finish within INLINE_SECONDS."""
        return self._pace * size < INLINE_SECONDS

    def _call(
        self,
        rows: Sequence[Row],
        names: Sequence[str],
        served: Sequence[Row],
        size: int,
        before: float,
    ) -> list[dict[str, Any]]:
        start = time.perf_counter() - before
        inputs = [schema.complete(*pair) for pair in zip(rows, served, strict=True)]
        if self._one and len(rows) <= self._few:
            predictions = [self._one(row) for row in inputs]
        else:
            predictions = records(self.model.predict(schema.frame(inputs)))
        took = time.perf_counter() - start
        self._pace = took / size
        metrics.MODEL_SECONDS.observe(took)
        metrics.observe(predictions)
        entities = [[row[key] for key in self.log.keys] for row in rows]
        # The log keeps tuples: dictionaries take five times the memory, and displace the caches.
        values = [tuple(row.values()) for row in inputs]
        self.log.put(Batch(names, entities, values, predictions, self.lookups.now()))
        return predictions


def _seconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=1, repeat=5))


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one dictionary per row, with Python's own types."""
    names, values = [*table], [column.tolist() for _, column in table.items()]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
