"""Micro-batching: calls that arrive while others are handled are handled together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Call = TypeVar("Call")
Result = TypeVar("Result")

WAITING = 2_048
"""Calls that may wait at the same time."""


class Overloaded(Exception):
    """Too many calls are waiting."""


@dataclass
class MicroBatcher(Generic[Call, Result]):
    """Handles calls in batches, one batch at a time, in the order of their arrival."""

    handle: Callable[[Sequence[Call]], Awaitable[Sequence[Result]]]
    """Returns one result per call of a batch."""
    weight: Callable[[Call], int]
    most: int
    """Largest weight of a batch of several calls."""
    _waiting: list[tuple[Call, asyncio.Future[Result]]] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None

    async def submit(self, call: Call) -> Result:
        """Return the result of a call; if the batch fails, each of its calls is tried alone.

        Raises:
            Overloaded: too many calls are waiting.
        """
        if len(self._waiting) >= WAITING:
            raise Overloaded
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await result

    async def _drain(self) -> None:
        while self._waiting:
            await self._settle(self._take())

    def _take(self) -> list[tuple[Call, asyncio.Future[Result]]]:
        end, total = 0, 0
        for call, _ in self._waiting:
            if end and total + self.weight(call) > self.most:
                break
            end, total = end + 1, total + self.weight(call)
        batch, self._waiting = self._waiting[:end], self._waiting[end:]
        return batch

    async def _settle(self, batch: list[tuple[Call, asyncio.Future[Result]]]) -> None:
        try:
            results = await self.handle([call for call, _ in batch])
        except Exception as error:
            if len(batch) > 1:  # only the calls that fail alone get the error
                for each in batch:
                    await self._settle([each])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():  # the client may have gone
                future.set_result(result)
