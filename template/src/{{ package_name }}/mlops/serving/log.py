"""The prediction log: what was asked and answered, as parquet, written in the background.

A challenger is asked here too: no client waits for it, nor learns that it failed.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from .. import tables
from ..errors import Problem
from . import metrics, requests

LOGGER = logging.getLogger("mlops.serving.log")

ROOM = 100_000
"""Rows that may wait; more are dropped and counted, for the answers do not wait for a disk."""
PAUSE = 0.25
"""Seconds between looks at what waits: a table costs the more a row, the fewer it has."""
FILE_ROWS, FILE_SECONDS = 50_000, 60.0
"""A file is written when it has so many rows, or is so old."""


class Batch(NamedTuple):
    """Of each row its request's id, its entities, what the model got, and what it said."""

    names: Sequence[str]
    entities: Sequence[Sequence[Any]]
    inputs: Sequence[Sequence[Any]]
    predictions: Sequence[Mapping[str, Any]]
    at: datetime


class Log:
    """A folder (or a URL that Arrow knows) of parquet files; without one nothing is kept.

    Raises:
        Problem: Arrow does not know the URL.
    """

    keys: Sequence[str] = ()
    """The entities' names."""

    def __init__(
        self, place: str | None, version: str, shadow: Any = None, seconds: float = FILE_SECONDS
    ) -> None:
        """Start the thread that writes; `shadow` is a challenger, as MLflow loads it."""
        self._version, self._shadow, self._seconds = version, shadow, seconds
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._waiting: list[Batch] = []
        self._count = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="prediction-log")
        self._on = place is not None
        if place is not None:
            self._files, self._folder = _opened(place)
            self._thread.start()

    def put(self, batch: Batch) -> None:
        """Take a batch; it is in a file within a minute."""
        if not self._on:
            return
        with self._lock:
            if self._count + len(batch.predictions) <= ROOM:
                self._waiting.append(batch)
                self._count += len(batch.predictions)
                return
        metrics.LOG_DROPPED.inc(len(batch.predictions))

    def close(self) -> None:
        """Write what waits."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        kept: list[pd.DataFrame] = []
        due, open_ = time.monotonic() + self._seconds, True
        while open_:
            open_ = not self._closed.wait(PAUSE)
            with self._lock:
                batches, self._waiting, self._count = self._waiting, [], 0
            if batches:
                kept += self._tables(batches)
            late = time.monotonic() >= due
            if kept and (late or not open_ or sum(map(len, kept)) >= FILE_ROWS):
                self._write(kept)
                kept = []
            if late:
                due = time.monotonic() + self._seconds

    def _tables(self, batches: list[Batch]) -> list[pd.DataFrame]:
        try:
            return [self._table(batches)]
        except Exception:  # what no table can hold stops the log as little as a full disk
            metrics.LOG_DROPPED.inc(sum(len(one.predictions) for one in batches))
            LOGGER.exception("the prediction log cannot be made")
            return []

    def _table(self, batches: list[Batch]) -> pd.DataFrame:
        rows = requests.table(zip(*(row for one in batches for row in one.inputs), strict=True))
        answers = [row for one in batches for row in one.predictions]
        said = pd.DataFrame({name: [row[name] for row in answers] for name in answers[0]})
        about = pd.DataFrame({"request": [name for one in batches for name in one.names]})
        found = [row for one in batches for row in one.entities]
        entities = pd.DataFrame({key: [row[n] for row in found] for n, key in enumerate(self.keys)})
        about["predicted_at"] = [one.at for one in batches for _ in one.names]
        about["model_version"] = self._version
        challenge = self._challenge(rows)
        inputs = pd.concat([entities, rows], axis=1)
        # No file has a name twice, and its folder is named by a `date`: who comes later gives way.
        said = said.rename(columns=tables.apart(said, [*about, "date"], "prediction_"))
        taken = [*about, "date", *said]
        challenge = challenge.rename(columns=tables.apart(challenge, taken, "shadow_"))
        inputs = inputs.rename(columns=tables.apart(inputs, [*taken, *challenge], "request_"))
        return pd.concat([about, inputs, said, challenge], axis=1)

    def _challenge(self, rows: pd.DataFrame) -> pd.DataFrame:
        if self._shadow is None:
            return pd.DataFrame(index=rows.index)
        try:
            said: pd.DataFrame = self._shadow.predict(rows)
            return said.add_prefix("shadow_")
        except Exception:
            metrics.SHADOW_FAILURES.inc()
            LOGGER.exception("the challenger fails")
            return pd.DataFrame(index=rows.index)

    def _write(self, tables: list[pd.DataFrame]) -> None:
        folder = f"{self._folder}/date={datetime.now(UTC):%Y-%m-%d}"
        name = f"{uuid4().hex}.parquet"
        try:
            table = pa.Table.from_pandas(pd.concat(tables, ignore_index=True), preserve_index=False)
            self._files.create_dir(folder, recursive=True)
            pq.write_table(table, f"{folder}/.{name}", filesystem=self._files)
            self._files.move(f"{folder}/.{name}", f"{folder}/{name}")
        except Exception:  # a full disk stops the log, and not the service
            metrics.LOG_DROPPED.inc(sum(map(len, tables)))
            LOGGER.exception("the prediction log cannot be written")


def _opened(place: str) -> tuple[FileSystem, str]:
    url = place if "://" in place else str(Path(place).absolute())
    try:
        found: tuple[FileSystem, str] = FileSystem.from_uri(url)
    except (pa.ArrowException, OSError) as error:
        raise Problem(f"MLOPS_PREDICTION_LOG={place}: {error}; type a folder, or a URL") from None
    return found
