"""The Delta table of predictions: column names, column types, and widening of types.

Delta has fewer types than pandas, and stores every day with the types of the first: it would
silently truncate 10.75 to 10. This module stores a value unchanged, or refuses it before the table
changes.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow import types

from .. import tables
from ..errors import Problem

OWN = ("date", "model_version")
"""The columns that the platform adds."""
TIME = pa.timestamp("us", "UTC")
DIGITS = 38
"""Maximum number of digits of a Delta decimal."""


def names(
    requests: Iterable[Any], predictions: Iterable[Any], own: Iterable[str] = OWN
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the table's names of the requests' columns, and of the predictions' columns.

    A name changes only if a platform column or, for requests, a prediction already uses it.
    """
    predicted = tables.apart(predictions, own, "prediction_")
    return tables.apart(requests, [*own, *predicted.values()], "request_"), predicted


def opened(target: str) -> DeltaTable | None:
    """Open the table; return None if it does not exist yet.

    Raises:
        Problem: the table cannot be read.
    """
    try:
        return DeltaTable(target)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise access_problem(target, error) from None


def access_problem(target: str, error: Exception) -> Problem:
    """Return a Problem for a table that cannot be read or written."""
    return Problem(
        f"{target}: cannot read or write the predictions: {' '.join(str(error).split())[:200]};"
        " if it is not writable, set MLOPS_PREDICTIONS to another place, such as"
        " s3://bucket/predictions"
    )


def check(requests: pd.DataFrame, predictions: Iterable[Any], target: str) -> list[str]:
    """Return the names of the requests' columns to publish: all that contain a value.

    Raises:
        Problem: the table cannot hold a column.
    """
    fitting, columns = Fitting(opened(target)), []
    for name, new in names(requests, predictions)[0].items():
        try:
            values = pa.chunked_array([pa.array(requests[name], from_pandas=True)])
        except tables.UNHOLDABLE as error:
            raise Problem(f"features.requests: {name}: {tables.reason(error)}") from None
        if not types.is_null(values.type):
            fitting.add(new, values)
            columns.append(name)
    return columns


class Fitting:
    """The column types that a table needs for its rows and for the rows to be added."""

    def __init__(self, table: DeltaTable | None) -> None:
        """Start with the types of the table."""
        self._table = table
        self.table_types = (
            {field.name: field.type for field in pa.schema(table.schema())} if table else {}
        )
        self._names = {name.lower(): name for name in self.table_types}
        self.types: dict[str, pa.DataType] = {}
        """Types by name of the columns that `add` was called for."""

    def add(self, name: str, values: pa.ChunkedArray) -> None:
        """Take values of a column into account.

        Raises:
            Problem: Delta has no type for them, the table's column is of another kind, or the
                table has a column whose name differs only in case.
        """
        if types.is_null(values.type):
            return
        if (other := self._names.setdefault(name.lower(), name)) != name:
            raise Problem(f"{name}: the table of predictions has {other}: use that name")
        if (own := storable(values.type)) is None:
            raise Problem(
                f"{name}: Delta has no type for {values.type}: convert it to text or numbers"
            )
        current = self.types.get(name) or self.table_types.get(name) or own
        wide = wider(current, own)
        if wide is None and name not in self.types and self._empty(name):
            current = wide = own
        # Casting to a narrower struct would drop fields.
        kinds = [] if wide is None else [wide] if types.is_nested(wide) else [current, wide]
        fitting = next((kind for kind in kinds if holds(values, kind)), None)
        if fitting is None or (fitting != current and not self._can_be(name, fitting)):
            value = f"which cannot hold {values.drop_null()[0]} ({values.type})"
            if name not in self.table_types:
                raise Problem(
                    f"{name}: Delta would store it as {current}, {value}: convert it to text"
                )
            raise Problem(
                f"{name}: the table of predictions has it as {current}, {value}: use that type in"
                " every batch, or set MLOPS_PREDICTIONS to another table"
            )
        self.types[name] = fitting

    def _empty(self, name: str) -> bool:
        """True if the table has no value in a column."""
        assert self._table
        data = self._table.to_pyarrow_dataset()
        return not data.head(1, columns=[name], filter=pc.field(name).is_valid()).num_rows

    def _can_be(self, name: str, kind: pa.DataType) -> bool:
        """True if a wider type preserves the values that the table has."""
        if self._table is None or name not in self.table_types:
            return True
        batches = self._table.to_pyarrow_dataset().to_batches(columns=[name])
        return all(holds(pa.chunked_array([batch[name]]), kind) for batch in batches)

    def widen(self) -> list[str]:
        """Rewrite the table in one commit if columns need a wider type; return their names.

        Delta itself can widen only a few types, and not all readers support that.

        Raises:
            DeltaError: the table changed in the meantime, or cannot be written.
        """
        columns = [n for n, kind in self.types.items() if self.table_types.get(n, kind) != kind]
        if columns:
            assert self._table
            data = self._table.to_pyarrow_dataset()
            schema = pa.schema([(f.name, self.types.get(f.name, f.type)) for f in data.schema])
            write_deltalake(
                self._table,
                stream(schema, (pa.Table.from_batches([batch]) for batch in data.to_batches())),
                mode="overwrite",
                schema_mode="overwrite",
                partition_by=self._table.metadata().partition_columns,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        return columns


def stream(schema: pa.Schema, parts: Iterable[pa.Table]) -> pa.RecordBatchReader:
    """Return the parts as one reader, with columns cast to the types of the schema."""

    def batches() -> Iterator[pa.RecordBatch]:
        for part in parts:
            columns = [cast(part[field.name], field.type) for field in schema]
            yield from pa.table(columns, schema=schema).combine_chunks().to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def storable(kind: pa.DataType) -> pa.DataType | None:
    """Return Delta's type for an Arrow type, or None if there is none."""
    if types.is_dictionary(kind):
        return storable(kind.value_type)
    if types.is_unsigned_integer(kind):
        return {8: pa.int16(), 16: pa.int32()}.get(kind.bit_width, pa.int64())
    if types.is_decimal(kind):
        return pa.decimal128(DIGITS, max(kind.scale, 0))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = storable(kind.value_type)
        return inner and pa.list_(inner)
    if types.is_struct(kind):
        fields = {field.name: storable(field.type) for field in kind.fields}
        return pa.struct(fields.items()) if fields and None not in fields.values() else None
    return next((same or kind for is_one, same in SAME if is_one(kind)), None)


SAME: list[tuple[Callable[[pa.DataType], bool], pa.DataType | None]] = [
    (types.is_null, None),
    (types.is_boolean, None),
    (types.is_integer, None),
    (types.is_float16, pa.float32()),
    (types.is_floating, None),
    (types.is_date, pa.date32()),
    (types.is_timestamp, TIME),
    (types.is_unicode, pa.string()),
    (types.is_large_unicode, pa.string()),
    (types.is_string_view, pa.string()),
    (types.is_binary, pa.binary()),
    (types.is_large_binary, pa.binary()),
    (types.is_binary_view, pa.binary()),
    (types.is_fixed_size_binary, pa.binary()),
]


def wider(current: pa.DataType, own: pa.DataType) -> pa.DataType | None:
    """Return a type that holds the values of both types, or None if their kinds differ."""
    pair = (current, own)
    if types.is_null(own) or all(map(types.is_timestamp, pair)):
        return current
    if current == own or types.is_null(current):
        return own
    if all(map(types.is_integer, pair)) or all(map(types.is_floating, pair)):
        return max(pair, key=lambda kind: kind.bit_width)
    if all(types.is_integer(kind) or types.is_floating(kind) for kind in pair):
        return pa.float64()
    if all(types.is_integer(kind) or types.is_decimal(kind) for kind in pair):
        return pa.decimal128(DIGITS, max(getattr(kind, "scale", 0) for kind in pair))
    if all(map(types.is_list, pair)):
        inner = wider(current.value_type, own.value_type)
        return inner and pa.list_(inner)
    if all(map(types.is_struct, pair)):
        old, new = ({field.name: field.type for field in kind.fields} for kind in pair)
        fields = {n: wider(old.get(n, pa.null()), new.get(n, pa.null())) for n in {**old, **new}}
        return None if None in fields.values() else pa.struct(fields.items())
    return None


def cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Convert values to another type without changing them; only times lose precision.

    Raises:
        ArrowInvalid: the type cannot hold a value.
    """
    if types.is_timestamp(kind):
        return values.cast(kind, safe=False)
    converted = values.cast(kind)
    if types.is_float32(kind) and not np.array_equal(
        converted.to_numpy().astype(float), values.to_numpy().astype(float), equal_nan=True
    ):
        raise pa.ArrowInvalid(f"{kind} cannot hold a value")
    return converted


def holds(values: pa.ChunkedArray, kind: pa.DataType) -> bool:
    """True if another type preserves the values."""
    try:
        cast(values, kind)
    except pa.ArrowException:
        return False
    return True
