"""Look up missing features in the online store in bounded time; without it, defaults apply."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import metrics
from .online_features import Online
from .schema import Row

LOGGER = logging.getLogger("mlops.serving")

AT_ONCE = 4
"""Look-ups that may wait for the online store at the same time."""


def _now() -> datetime:
    return datetime.now(UTC)


def _log_error(lookup: Future[Any]) -> None:
    if error := lookup.exception():
        LOGGER.error("the online store does not return the features of schema.EXAMPLE: %s", error)


@dataclass
class Lookups:
    """Looks up the features of requests in Feast's online store."""

    online: Online
    timeout: float = 0.1
    """Seconds to wait for the online store; after that, its features count as missing."""
    now: Callable[[], datetime] = _now
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE))
    _pending: set[Future[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Export the age of the features to Prometheus."""
        self.online.noted = lambda name, age: metrics.FEATURE_AGE.labels(name).set(age)

    def lacking(self, rows: Sequence[Row]) -> list[int]:
        """Return the positions of the rows that lack a feature of Feast's."""
        return [n for n, row in enumerate(rows) if None in map(row.get, self.online.ttl)]

    def warm(self, row: Row) -> None:
        """Connect to the store in the background: it would take the first request too long."""
        self._threads.submit(self.online.read, [row], self.now()).add_done_callback(_log_error)

    async def served(self, rows: Sequence[Row]) -> list[Row]:
        """Return the features of each row that lacks some; none if the store does not answer."""
        served: list[Row] = [{}] * len(rows)
        if lacking := self.lacking(rows):
            features = await self._read([rows[number] for number in lacking])
            for place, number in enumerate(lacking):
                served[number] = {name: values[place] for name, values in features.items()}
            for name in self.online.ttl:
                missing = sum(served[number].get(name) is None for number in lacking)
                metrics.FEATURES_MISSING.labels(name).inc(missing)
        return served

    async def _read(self, rows: Sequence[Row]) -> dict[str, list[Any]]:
        try:
            if len(self._pending) == AT_ONCE:
                raise TimeoutError  # no look-up has returned
            lookup = self._threads.submit(self.online.read, rows, self.now())
            self._pending.add(lookup)
            lookup.add_done_callback(self._pending.discard)
            return await asyncio.wait_for(asyncio.wrap_future(lookup), self.timeout)
        except Exception as error:  # each store raises its own; defaults apply
            metrics.ONLINE_FAILURES.labels(type(error).__name__).inc(len(rows))
            return {}
