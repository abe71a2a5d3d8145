"""MLflow's database in a file, as on a laptop: made by one process, and moved with its folder."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

PREFIX = "sqlite:///"


def file(uri: str) -> Path | None:
    """Return the file of a sqlite address, and None for any other address."""
    path = uri.removeprefix(PREFIX).partition("?")[0]
    return Path(path) if uri.startswith(PREFIX) and path not in ("", ":memory:") else None


def artifacts(database: Path) -> str:
    """Return the URI of the folder beside the database that holds its artifacts."""
    return database.with_name("artifacts").as_uri()


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """Hold the database for this process, as while MLflow makes its tables; others wait.

    Raises:
        OSError: the folder cannot be made or written.
    """
    with ExitStack() as stack:
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(database.with_name("lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            if not database.exists():  # one that is there can be read where nothing can be written
                raise
        yield


def follow(database: Path) -> None:
    """Rewrite the paths that MLflow keeps, where the database lies in another folder than before.

    MLflow keeps the paths of artifacts absolute. After a move they would lead to a folder that is
    gone, and after a copy to the files of the original.
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
    """Return the folder that the database lay in when this location was written, if another.

    A location of another shape was chosen by somebody, and stays.
    """
    uri = urlsplit(location or "")
    path = PurePosixPath(unquote(uri.path))
    ours = uri.scheme == "file" and path.parts[-2:] == (database.parent.name, "artifacts")
    parent = Path(path.parent)
    return parent if ours and parent != database.parent else None


def _prefixes(before: Path, now: Path) -> Iterator[tuple[str, str]]:
    """Yield old and new beginnings of paths: in the database's folder, and in mlruns/ beside it.

    The latter is where MLflow puts the artifacts of experiments that people make themselves.
    """
    for old, new in ((before, now), (before.with_name("mlruns"), now.with_name("mlruns"))):
        yield f"{old.as_uri()}/", f"{new.as_uri()}/"
        yield f"{old}/", f"{new}/"
