"""What features.derive makes of what a client sends: the same in training, batch and service.

features.py may have a `derive(rows)`. It returns the rows of requests with further columns, such as
rows.assign(…): inputs of the model, keys of Feast's, whatever follows from what a client sends and
from `event_timestamp`, which in the service is now. A row's values depend on no other row. What
features.py imports at its top, the service's image has to have.

Without a `derive` nothing is done, and features.py is not even imported: it may need libraries
that only the pipeline has.
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
        Problem: features.py has one and needs a library that is not installed here.
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
                f"features.py has a `derive`, and imports {error.name}, which the service's image"
                " has not: import it in the functions that need it, or name it among the"
                " dependencies in [project] of pyproject.toml"
            ) from None
    return getattr(module, "derive", None)


def _binds(source: str, name: str) -> bool:
    """Whether a module's text defines, imports or assigns a name."""
    symbols = {
        symbol.get_name(): symbol for symbol in symtable.symtable(source, "", "exec").get_symbols()
    }
    found = symbols.get(name)
    return found is not None and (found.is_assigned() or found.is_imported())


def apply(rows: pd.DataFrame, derive: Hook | None) -> pd.DataFrame:
    """Return rows with what `derive` adds.

    Raises:
        Problem: it gives other rows than it got.
    """
    if derive is None:
        return rows
    made = derive(rows)
    if not (
        isinstance(made, pd.DataFrame) and made.index.equals(rows.index) and {*rows} <= {*made}
    ):
        raise Problem(
            "features.derive has to return the rows that it gets, with their index and columns, and"
            " further columns: such as rows.assign(…)"
        )
    return made


@dataclass(frozen=True)
class Derivation:
    """What `derive` adds to requests."""

    derive: Hook | None = None
    example: Row = field(default_factory=lambda: contract.example())
    """A request: its names are those of all requests."""
    columns: tuple[str, ...] = field(init=False, default=())
    """The columns that `derive` adds, which a client does not send."""

    def __post_init__(self) -> None:
        """Try `derive` out on the example.

        Raises:
            Problem: there is no example, or `derive` fails at it.
        """
        if self.derive is None:
            return
        if not self.example:
            raise Problem("features.derive needs a request to try it out: add EXAMPLE to schema.py")
        try:
            made = apply(self._table([self.example], datetime.now(UTC)), self.derive)
        except Problem:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise Problem(f"features.derive fails at schema.EXAMPLE: {reason}") from error
        added = tuple(name for name in made if name not in self.example and name != TIME)
        object.__setattr__(self, "columns", added)

    def of(self, rows: Sequence[Row], now: datetime) -> Sequence[Row]:
        """Return requests with the derived columns; `now` is their `event_timestamp`."""
        if self.derive is None:
            return rows
        made = apply(self._table(rows, now), self.derive)
        added = {name: _plain(made[name]) for name in self.columns}
        return [
            {**row, **dict(zip(added, values, strict=True))}
            for row, values in zip(rows, zip(*added.values(), strict=True), strict=True)
        ]

    def missing(self, served: Iterable[str], keys: Iterable[str]) -> list[str]:
        """Return what a request needs, for neither Feast nor `derive` has it, and EXAMPLE lacks."""
        if not self.example:
            return []
        needed = ({*contract.inputs()} - {*served}) | {*keys}
        return sorted(needed - {*self.columns} - {*self.example})

    def check(self, served: Iterable[str], keys: Iterable[str]) -> None:
        """Check that EXAMPLE is a whole request.

        Raises:
            Problem: it lacks an entry.
        """
        if missing := self.missing(served, keys):
            raise Problem(
                f"schema.py: EXAMPLE lacks {', '.join(missing)}, which neither Feast nor"
                " features.derive gives: add what a client sends"
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
    """Return a column's values as the model takes them."""
    if isinstance(kind, np.dtype):
        return np.array(values, kind if kind.kind in "biuf" else object)
    if getattr(kind, "kind", "O") in "biufM":
        return pd.array(values, kind)
    return np.array(values, object)


def dtype(column: Column) -> Any:
    """Return the type that the schema gives a column."""
    return getattr(column.dtype, "type", None)
