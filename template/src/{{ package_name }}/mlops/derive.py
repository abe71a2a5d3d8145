"""Columns that features.derive adds to requests, the same in training, batch and service.

features.py may define `derive(rows)`. It returns the rows of requests with additional columns, for
example rows.assign(…): model inputs, Feast keys, anything that follows from what a client sends and
from `event_timestamp`, which is the current time in the service. A row's values must not depend on
other rows. The service's image needs every library that features.py imports at module level.

Without `derive`, requests stay as they are and features.py is not even imported, because it may
need libraries that only the pipeline has.
"""

import importlib
import importlib.util
import symtable
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandera.api.pandas.components import Column

from . import contract
from .errors import Problem

Row = Mapping[str, Any]
Hook = Callable[[pd.DataFrame], pd.DataFrame]
TIME = "event_timestamp"


def hook() -> Hook | None:
    """Return the team's features.derive, or None.

    Raises:
        Problem: features.py has one, but imports a library that is not installed here.
    """
    name = f"{str(__package__).rpartition('.')[0]}.features"
    if (module := sys.modules.get(name)) is None:
        spec = importlib.util.find_spec(name)
        if not (spec and spec.origin) or not _binds(Path(spec.origin).read_text(), "derive"):
            return None
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise Problem(
                f"features.py has a `derive` and imports {error.name}, which is not in the"
                " service's image: import it inside the functions that need it, or add it to the"
                " dependencies in [project] of pyproject.toml"
            ) from None
    return getattr(module, "derive", None)


def _binds(source: str, name: str) -> bool:
    """True if a module's source defines, imports or assigns a name at module level."""
    symbols = {
        entry.get_name(): entry for entry in symtable.symtable(source, "", "exec").get_symbols()
    }
    symbol = symbols.get(name)
    return symbol is not None and (symbol.is_assigned() or symbol.is_imported())


def apply(rows: pd.DataFrame, derive: Hook | None) -> pd.DataFrame:
    """Return the rows with the columns that `derive` adds.

    Raises:
        Problem: `derive` returns something other than the same rows with additional columns.
    """
    if derive is None:
        return rows
    derived = derive(rows)
    if not (
        isinstance(derived, pd.DataFrame)
        and derived.index.equals(rows.index)
        and {*rows} <= {*derived}
    ):
        raise Problem(
            "features.derive must return the rows that it gets, with the same index and columns,"
            " and may only add columns: use rows.assign(…)"
        )
    return derived


@dataclass(frozen=True)
class Derivation:
    """The columns that `derive` adds to requests."""

    derive: Hook | None = None
    example: Row = field(default_factory=lambda: contract.example())
    """A request; every request has these names."""
    columns: tuple[str, ...] = field(init=False, default=())
    """Names of the added columns, which clients do not send."""

    def __post_init__(self) -> None:
        """Find the columns by calling `derive` with the example.

        Raises:
            Problem: there is no example, or `derive` fails on it.
        """
        if self.derive is None:
            return
        if not self.example:
            raise Problem("features.derive needs an example request: add EXAMPLE to schema.py")
        try:
            derived = apply(self._table([self.example], datetime.now(UTC)), self.derive)
        except Problem:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise Problem(f"features.derive fails on schema.EXAMPLE: {reason}") from error
        added = tuple(name for name in derived if name not in self.example and name != TIME)
        object.__setattr__(self, "columns", added)

    def apply(self, rows: Sequence[Row], now: datetime) -> Sequence[Row]:
        """Return the requests with the derived columns; `now` becomes their `event_timestamp`."""
        if self.derive is None:
            return rows
        derived = apply(self._table(rows, now), self.derive)
        added = {name: _plain(derived[name]) for name in self.columns}
        return [
            {**row, **dict(zip(added, values, strict=True))}
            for row, values in zip(rows, zip(*added.values(), strict=True), strict=True)
        ]

    def missing(self, served: Iterable[str], keys: Iterable[str]) -> list[str]:
        """Return the names that a request must contain and EXAMPLE lacks.

        These are the inputs and keys that neither Feast nor `derive` provides.
        """
        if not self.example:
            return []
        needed = ({*contract.inputs()} - {*served}) | {*keys}
        return sorted(needed - {*self.columns} - {*self.example})

    def check(self, served: Iterable[str], keys: Iterable[str]) -> None:
        """Check that EXAMPLE is a complete request.

        Raises:
            Problem: EXAMPLE lacks an entry.
        """
        if missing := self.missing(served, keys):
            raise Problem(
                f"schema.py: EXAMPLE lacks {', '.join(missing)}, which neither Feast nor"
                " features.derive provides: add what a client sends"
            )

    def _table(self, rows: Sequence[Row], now: datetime) -> pd.DataFrame:
        columns = contract.request_columns()
        table = pd.DataFrame(
            {
                name: array([row.get(name) for row in rows], dtype(columns[name]))
                if name in columns
                else [row.get(name) for row in rows]
                for name in self.example
            }
        )
        return table.assign(**{TIME: pd.Timestamp(now).tz_convert("UTC")})


def _plain(values: pd.Series) -> list[Any]:
    return [None if pd.isna(value) else value for value in values.tolist()]


def array(values: list[Any], kind: Any) -> Any:
    """Return a column's values as an array of the type that the model expects."""
    if isinstance(kind, np.dtype):
        return np.array(values, kind if kind.kind in "biuf" else object)
    if getattr(kind, "kind", "O") in "biufM":
        return pd.array(values, kind)
    return np.array(values, object)


def dtype(column: Column) -> Any:
    """Return the data type that the schema declares for a column, or None."""
    return getattr(column.dtype, "type", None)
