"""The model behind the endpoint: requests that wait are answered together, by one call of it.

A few rows that lack nothing wait for nobody where the model has a way for one row.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ..contract import RowPredictor
from . import metrics, requests
from .log import Batch, Log
from .lookups import Lookups
from .requests import Row

ROOM = 2_048
"""Requests that may wait for the model."""
FEW = 8
"""Rows that cost less one by one, where the model can do that, than as a table."""
QUICK = 0.005
"""Seconds: a batch that takes less keeps the event loop; a thread would take longer to wake."""
LETTERS = 100
"""Characters of its texts that count as one more row."""


class Overloaded(Exception):
    """More requests wait than may."""


@dataclass
class _Waiting:
    rows: list[Row]
    request: str
    answer: asyncio.Future[list[dict[str, Any]]]


@dataclass
class Predictor:
    """Gathers what arrives while the model is busy; then all of it is one batch."""

    model: Any
    """As MLflow loads it: it has `predict`."""
    lookups: Lookups
    log: Log
    _waiting: list[_Waiting] = field(default_factory=list)
    _model: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _took: float = QUICK
    """Seconds that the last batch took in the model."""
    _weighed: int = 1
    """What it weighed."""
    _busy: asyncio.Task[None] | None = None
    _one: RowPredictor | None = field(init=False)

    def __post_init__(self) -> None:
        """Ask the model for its way for one row; one registered by older code has none."""
        self._one = getattr(self.model, "row_predictor", lambda: None)()
        seen = requests.columns()
        self.log.keys = [key for key in self.lookups.online.keys if key not in seen]

    async def predict(self, rows: list[Row], request: str = "") -> list[dict[str, Any]]:
        """Give the predictions, a row a row; `request` is its id in the prediction log.

        Raises:
            Overloaded: too many requests wait.
            Lacking: an input is missing that has no default.
        """
        if self._few(rows) and self._quick(rows) and not self.lookups.lacking(rows):
            return self._call(rows, [request] * len(rows), [{}] * len(rows))
        if len(self._waiting) >= ROOM:
            raise Overloaded
        waiting = _Waiting(rows, request, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._busy is None or self._busy.done():
            self._busy = asyncio.create_task(self._drain())
        return await waiting.answer

    async def _drain(self) -> None:
        while self._waiting:
            await self._settle(self._take())

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

    def _take(self) -> list[_Waiting]:
        taken, count = 0, 0
        for one in self._waiting:
            if taken and count + len(one.rows) > requests.MAX_ROWS:
                break
            taken, count = taken + 1, count + len(one.rows)
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    async def _answer(self, batch: list[_Waiting]) -> list[dict[str, Any]]:
        rows = [row for one in batch for row in one.rows]
        names = [one.request for one in batch for _ in one.rows]
        served = await self.lookups.served(rows)
        if self._quick(rows):
            return self._call(rows, names, served)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._model, self._call, rows, names, served)

    def _few(self, rows: Sequence[Row]) -> bool:
        return self._one is not None and len(rows) <= FEW

    def _quick(self, rows: Sequence[Row]) -> bool:
        """Whether they are soon done: what the last batch took, times how much heavier they are."""
        return self._took * max(1, weight(rows) / self._weighed) < QUICK

    def _call(
        self, rows: Sequence[Row], names: Sequence[str], served: Sequence[Row]
    ) -> list[dict[str, Any]]:
        start = time.perf_counter()
        inputs = [requests.complete(*both) for both in zip(rows, served, strict=True)]
        if self._one and self._few(rows):
            predictions = [self._one(row) for row in inputs]
        else:
            predictions = records(self.model.predict(requests.frame(inputs)))
        self._took, self._weighed = time.perf_counter() - start, weight(rows)
        metrics.MODEL_SECONDS.observe(self._took)
        metrics.observe(predictions)
        entities = [[row[key] for key in self.log.keys] for row in rows]
        # What waits is no dictionary a row: five times the memory would pass through the caches.
        seen = [tuple(row.values()) for row in inputs]
        self.log.put(Batch(names, entities, seen, predictions, self.lookups.now()))
        return predictions


def weight(rows: Sequence[Row]) -> int:
    """Give the number of rows, where long texts count for more."""
    letters = sum(len(value) for row in rows for value in row.values() if type(value) is str)
    return len(rows) + letters // LETTERS


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give a dictionary a row, of Python's own types."""
    names, values = [*table], [column.tolist() for _, column in table.items()]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
