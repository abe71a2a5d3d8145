"""The prediction log: requests and predictions, written to parquet files in the background.

A challenger predicts here too: no client waits for it or sees its failures.
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
from . import metrics, schema

LOGGER = logging.getLogger("mlops.serving.log")

ROOM = 100_000
"""Rows that may wait; more are dropped and counted: responses must not wait for a disk."""
PAUSE = 0.25
"""Seconds between checks for waiting rows: small tables cost more per row."""
FILE_ROWS, FILE_SECONDS = 50_000, 60.0
"""A file is written when it has that many rows, or is that old."""


class Batch(NamedTuple):
    """Predicted rows: per row the request's id, the entity keys, the inputs and the predictions."""

    names: Sequence[str]
    entities: Sequence[Sequence[Any]]
    inputs: Sequence[Sequence[Any]]
    predictions: Sequence[Mapping[str, Any]]
    at: datetime


class Log:
    """A folder, or a URL supported by Arrow, of parquet files; without one, nothing is kept.

    Raises:
        Problem: Arrow does not support the URL.
    """

    keys: Sequence[str] = ()
    """Names of the entity keys."""

    def __init__(
        self, place: str | None, version: str, shadow: Any = None, seconds: float = FILE_SECONDS
    ) -> None:
        """Start the thread that writes; `shadow` is a challenger, as loaded by MLflow."""
        self._version, self._shadow, self._seconds = version, shadow, seconds
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._waiting: list[Batch] = []
        self._count = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="prediction-log")
        self._on = place is not None
        if place is not None:
            self._files, self._folder = _filesystem(place)
            self._thread.start()

    def put(self, batch: Batch) -> None:
        """Queue a batch; it is written to a file within about a minute."""
        if not self._on:
            return
        with self._lock:
            if self._count + len(batch.predictions) <= ROOM:
                self._waiting.append(batch)
                self._count += len(batch.predictions)
                return
        metrics.LOG_DROPPED.inc(len(batch.predictions))

    def close(self) -> None:
        """Write the waiting batches."""
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
        except Exception:  # values that no table can hold must not stop the log
            metrics.LOG_DROPPED.inc(sum(len(batch.predictions) for batch in batches))
            LOGGER.exception("rows of the prediction log do not fit into a table")
            return []

    def _table(self, batches: list[Batch]) -> pd.DataFrame:
        rows = schema.table(zip(*(row for batch in batches for row in batch.inputs), strict=True))
        records = [row for batch in batches for row in batch.predictions]
        predictions = pd.DataFrame({name: [row[name] for row in records] for name in records[0]})
        about = pd.DataFrame({"request": [name for batch in batches for name in batch.names]})
        keys = [row for batch in batches for row in batch.entities]
        entities = pd.DataFrame({key: [row[n] for row in keys] for n, key in enumerate(self.keys)})
        about["predicted_at"] = [batch.at for batch in batches for _ in batch.names]
        about["model_version"] = self._version
        challenge = self._challenge(rows)
        inputs = pd.concat([entities, rows], axis=1)
        # Column names are unique, and `date` is the folder's: the later of two columns is renamed.
        renamed = tables.apart(predictions, [*about, "date"], "prediction_")
        predictions = predictions.rename(columns=renamed)
        used = [*about, "date", *predictions]
        challenge = challenge.rename(columns=tables.apart(challenge, used, "shadow_"))
        inputs = inputs.rename(columns=tables.apart(inputs, [*used, *challenge], "request_"))
        return pd.concat([about, inputs, predictions, challenge], axis=1)

    def _challenge(self, rows: pd.DataFrame) -> pd.DataFrame:
        if self._shadow is None:
            return pd.DataFrame(index=rows.index)
        try:
            predictions: pd.DataFrame = self._shadow.predict(rows)
            return predictions.add_prefix("shadow_")
        except Exception:
            metrics.SHADOW_FAILURES.inc()
            LOGGER.exception("the challenger failed")
            return pd.DataFrame(index=rows.index)

    def _write(self, tables: list[pd.DataFrame]) -> None:
        folder = f"{self._folder}/date={datetime.now(UTC):%Y-%m-%d}"
        name = f"{uuid4().hex}.parquet"
        try:
            table = pa.Table.from_pandas(pd.concat(tables, ignore_index=True), preserve_index=False)
            self._files.create_dir(folder, recursive=True)
            pq.write_table(table, f"{folder}/.{name}", filesystem=self._files)
            self._files.move(f"{folder}/.{name}", f"{folder}/{name}")
        except Exception:  # a full disk must not stop the log or the service
            metrics.LOG_DROPPED.inc(sum(map(len, tables)))
            LOGGER.exception("the prediction log cannot be written")


def _filesystem(place: str) -> tuple[FileSystem, str]:
    url = place if "://" in place else str(Path(place).absolute())
    try:
        opened: tuple[FileSystem, str] = FileSystem.from_uri(url)
    except (pa.ArrowException, OSError) as error:
        raise Problem(
            f"MLOPS_PREDICTION_LOG={place}: {error}; set it to a folder or a URL"
        ) from None
    return opened
