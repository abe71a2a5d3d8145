"""Bring Feast's online store up to date: what is known of each entity now."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from . import features, ingest, store
from .errors import Problem


def run(until: datetime | None = None) -> None:
    """The rows of now → features.build → the online store that feature_store.yaml names.

    What came after `until` is left out.

    Raises:
        Problem: an engine runs it, and the store is a file in the stage's own folder.
    """
    raw, values = ingest.load(), features.section()
    with tempfile.TemporaryDirectory() as scratch:
        tables = features.write(raw, values, Path(scratch))
        with store.opened(Path(scratch)) as feast:
            path = getattr(feast.config.online_store, "path", None)
            if path and not Path(path).is_absolute() and "MLOPS_RUN_ID" in os.environ:
                raise Problem(
                    f"{store.FOLDER}/feature_store.yaml: the online store is the file {path}, which"
                    " goes with this stage: name one that the service reaches too, such as redis"
                )
            feast.materialize(datetime(1970, 1, 1, tzinfo=UTC), until or datetime.now(UTC))
    newest = max(table["event_timestamp"].max() for table in tables.values())
    print(f"the online store has {', '.join(tables)}, the newest rows of {newest:%Y-%m-%d %H:%M}")
