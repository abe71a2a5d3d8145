"""MLflow's database as a file, as on a laptop: created by one process, movable with its folder."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

PREFIX = "sqlite:///"


def file(uri: str) -> Path | None:
    """Return the file of an SQLite URI, or None for any other URI."""
    path = uri.removeprefix(PREFIX).partition("?")[0]
    return Path(path) if uri.startswith(PREFIX) and path not in ("", ":memory:") else None


def artifacts(database: Path) -> str:
    """Return the URI of the folder beside the database that holds its artifacts."""
    return database.with_name("artifacts").as_uri()


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """Lock the database for this process; other processes wait.

    Raises:
        OSError: the folder cannot be created or written to.
    """
    with ExitStack() as stack:
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(database.with_name("lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            if not database.exists():  # an existing one can be read without write access
                raise
        yield


def follow(database: Path) -> None:
    """Rewrite the paths in the database if it is in another folder than before.

    MLflow stores absolute paths of artifacts. After a move they would point to a folder that no
    longer exists, and after a copy to the files of the original.
    """
    if not database.exists():
        return
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        columns = [
            (table, column)
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", [table])
        ]
        if ("experiments", "artifact_location") not in columns:
            return
        rows = connection.execute("SELECT DISTINCT artifact_location FROM experiments")
        former = {parent for (location,) in rows if (parent := _former(database, location))}
        with connection:
            for before in former:
                for old, new in _prefixes(before, database.parent):
                    for table, column in columns:
                        connection.execute(
                            f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?)'
                            f' WHERE substr("{column}", 1, ?) = ?',
                            [new, len(old) + 1, len(old), old],
                        )


def _former(database: Path, location: str | None) -> Path | None:
    """Return the database's folder at the time this location was written, if it was another.

    A location of another form was set by a user, and stays.
    """
    uri = urlsplit(location or "")
    path = PurePosixPath(unquote(uri.path))
    is_default = uri.scheme == "file" and path.parts[-2:] == (database.parent.name, "artifacts")
    parent = Path(path.parent)
    return parent if is_default and parent != database.parent else None


def _prefixes(before: Path, now: Path) -> Iterator[tuple[str, str]]:
    """Yield old and new path prefixes: the database's folder, and mlruns/ beside it.

    MLflow puts the artifacts of experiments that users create themselves into mlruns/.
    """
    for old, new in ((before, now), (before.with_name("mlruns"), now.with_name("mlruns"))):
        yield f"{old.as_uri()}/", f"{new.as_uri()}/"
        yield f"{old}/", f"{new}/"
