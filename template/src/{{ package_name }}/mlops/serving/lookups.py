"""Ask the online store for what requests lack, in bounded time; without it defaults answer."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import metrics
from .online import Online
from .requests import Row

LOGGER = logging.getLogger("mlops.serving")

AT_ONCE = 4
"""Look-ups that may wait for the online store."""


def _now() -> datetime:
    return datetime.now(UTC)


def _told(lookup: Future[Any]) -> None:
    if error := lookup.exception():
        LOGGER.error("the online store does not give the features of schema.EXAMPLE: %s", error)


@dataclass
class Lookups:
    """Feast's features of requests."""

    online: Online
    timeout: float = 0.1
    """Seconds that the online store has; then a feature counts as missing."""
    now: Callable[[], datetime] = _now
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))
    _asked: set[Future[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Let Prometheus see how old the features are."""
        self.online.noted = lambda name, age: metrics.FEATURE_AGE.labels(name).set(age)

    def lacking(self, rows: Sequence[Row]) -> list[int]:
        """Return the places of the rows that Feast may know more of."""
        return [n for n, row in enumerate(rows) if None in map(row.get, self.online.ttl)]

    def warm(self, row: Row) -> None:
        """Connect to the store in the background: the first request has no time for that."""
        self._threads.submit(self.online.read, [row], self.now()).add_done_callback(_told)

    async def served(self, rows: Sequence[Row]) -> list[Row]:
        """Give the features of each row that lacks some; none where the store does not answer."""
        served: list[Row] = [{}] * len(rows)
        if lacking := self.lacking(rows):
            found = await self._read([rows[number] for number in lacking])
            for place, number in enumerate(lacking):
                served[number] = {name: values[place] for name, values in found.items()}
            for name in self.online.ttl:
                missing = sum(served[number].get(name) is None for number in lacking)
                metrics.FEATURES_MISSING.labels(name).inc(missing)
        return served

    async def _read(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        try:
            if len(self._asked) == AT_ONCE:
                raise TimeoutError  # none of them has come back
            lookup = self._threads.submit(self.online.read, rows, self.now())
            self._asked.add(lookup)
            lookup.add_done_callback(self._asked.discard)
            return await asyncio.wait_for(asyncio.wrap_future(lookup), self.timeout)
        except Exception as error:  # each store has its own; the model does without
            metrics.ONLINE_FAILURES.labels(type(error).__name__).inc(len(rows))
            return {}
