"""The Delta table of predictions: the names and the types of its columns, and how a type widens.

Delta has fewer types than pandas, and stores each day in the types of the first one: of 10.75 it
would make 10 without a word. Here a value is stored as it is, or refused before the table changes.
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

from . import tables
from .errors import Problem

OWN = ("date", "model_version")
"""The columns that the platform adds."""
TIME = pa.timestamp("us", "UTC")
DIGITS = 38
"""Of the longest decimal that Delta has."""


def names(
    requests: Iterable[Any], predictions: Iterable[Any], own: Iterable[str] = OWN
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the names in the table of the requests' columns, and those of the predictions.

    They stay the same but where one is taken, by a column of the platform's or a prediction.
    """
    predicted = tables.apart(predictions, own, "prediction_")
    return tables.apart(requests, [*own, *predicted.values()], "request_"), predicted


def opened(target: str) -> DeltaTable | None:
    """Open the table; None where there is none yet.

    Raises:
        Problem: the place cannot be read.
    """
    try:
        return DeltaTable(target)
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise refused(target, error) from None


def refused(target: str, error: Exception) -> Problem:
    """Return what to say of a table that cannot be read or written."""
    return Problem(
        f"{target} does not take the predictions: {' '.join(str(error).split())[:200]};"
        " if it cannot be written, set MLOPS_PREDICTIONS to what can, as s3://bucket/predictions"
    )


def check(requests: pd.DataFrame, predictions: Iterable[Any], target: str) -> list[str]:
    """Return the requests' columns that are to be published: those that have a type.

    A column without any value has none yet.

    Raises:
        Problem: the table cannot hold a column.
    """
    fitting, found = Fitting(opened(target)), []
    for name, new in names(requests, predictions)[0].items():
        try:
            values = pa.chunked_array([pa.array(requests[name], from_pandas=True)])
        except tables.UNHOLDABLE as error:
            raise Problem(f"features.requests: {name}: {tables.reason(error)}") from None
        if not types.is_null(values.type):
            fitting.add(new, values)
            found.append(name)
    return found


class Fitting:
    """The types that the columns of a table need, for what it has and what is added."""

    def __init__(self, table: DeltaTable | None) -> None:
        """Begin with the types that the table has."""
        self._table = table
        self.known = (
            {field.name: field.type for field in pa.schema(table.schema())} if table else {}
        )
        self._names = {name.lower(): name for name in self.known}
        self.types: dict[str, pa.DataType] = {}
        """Of the columns that values were added to."""

    def add(self, name: str, values: pa.ChunkedArray) -> None:
        """Take values of a column into account.

        Raises:
            Problem: Delta has no type for them, they are of another kind than the table's column,
                or the table has it under a name that differs by case.
        """
        if types.is_null(values.type):
            return
        if (other := self._names.setdefault(name.lower(), name)) != name:
            raise Problem(f"{name}: the table of predictions has {other}: call it that")
        if (own := storable(values.type)) is None:
            raise Problem(
                f"{name}: Delta has no type for {values.type}: make it a text or a number"
            )
        known = self.types.get(name) or self.known.get(name) or own
        wide = wider(known, own)
        if wide is None and name not in self.types and self._empty(name):
            known = wide = own
        # Of a struct, a narrower one would hold a part.
        kinds = [] if wide is None else [wide] if types.is_nested(wide) else [known, wide]
        fitting = next((kind for kind in kinds if holds(values, kind)), None)
        if fitting is None or (fitting != known and not self._can_be(name, fitting)):
            value = f"which cannot hold {values.drop_null()[0]} ({values.type})"
            if name not in self.known:
                raise Problem(f"{name}: Delta would have it as {known}, {value}: make it a text")
            raise Problem(
                f"{name}: the table of predictions has it as {known}, {value}: give it as that in"
                " each batch, or set MLOPS_PREDICTIONS to another table"
            )
        self.types[name] = fitting

    def _empty(self, name: str) -> bool:
        """Whether no row of the table has a value in a column."""
        assert self._table
        data = self._table.to_pyarrow_dataset()
        return not data.head(1, columns=[name], filter=pc.field(name).is_valid()).num_rows

    def _can_be(self, name: str, kind: pa.DataType) -> bool:
        """Whether the values that the table has stay what they are in a wider type."""
        if self._table is None or name not in self.known:
            return True
        batches = self._table.to_pyarrow_dataset().to_batches(columns=[name])
        return all(holds(pa.chunked_array([batch[name]]), kind) for batch in batches)

    def widen(self) -> list[str]:
        """Rewrite the table, in one commit, where a column has to be wider; say which.

        Delta can widen few types by itself, and not all who read a table know of that.

        Raises:
            DeltaError: the table changed meanwhile, or cannot be written.
        """
        found = [n for n, kind in self.types.items() if self.known.get(n, kind) != kind]
        if found:
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
        return found


def stream(schema: pa.Schema, parts: Iterable[pa.Table]) -> pa.RecordBatchReader:
    """Return the parts, their columns of the schema's types."""

    def batches() -> Iterator[pa.RecordBatch]:
        for part in parts:
            columns = [cast(part[field.name], field.type) for field in schema]
            yield from pa.table(columns, schema=schema).combine_chunks().to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def storable(kind: pa.DataType) -> pa.DataType | None:
    """Return Delta's type for a type of Arrow's; None where it has none."""
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


def wider(known: pa.DataType, own: pa.DataType) -> pa.DataType | None:
    """Return the type that holds what either of two holds; None where they are of two kinds."""
    both = (known, own)
    if types.is_null(own) or all(map(types.is_timestamp, both)):
        return known
    if known == own or types.is_null(known):
        return own
    if all(map(types.is_integer, both)) or all(map(types.is_floating, both)):
        return max(both, key=lambda kind: kind.bit_width)
    if all(types.is_integer(kind) or types.is_floating(kind) for kind in both):
        return pa.float64()
    if all(types.is_integer(kind) or types.is_decimal(kind) for kind in both):
        return pa.decimal128(DIGITS, max(getattr(kind, "scale", 0) for kind in both))
    if all(map(types.is_list, both)):
        inner = wider(known.value_type, own.value_type)
        return inner and pa.list_(inner)
    if all(map(types.is_struct, both)):
        old, new = ({field.name: field.type for field in kind.fields} for kind in both)
        fields = {n: wider(old.get(n, pa.null()), new.get(n, pa.null())) for n in {**old, **new}}
        return None if None in fields.values() else pa.struct(fields.items())
    return None


def cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return the values in another type, each what it was; of a time what Delta can hold of it.

    Raises:
        ArrowInvalid: the type does not hold a value.
    """
    if types.is_timestamp(kind):
        return values.cast(kind, safe=False)
    found = values.cast(kind)
    if types.is_float32(kind) and not np.array_equal(
        found.to_numpy().astype(float), values.to_numpy().astype(float), equal_nan=True
    ):
        raise pa.ArrowInvalid(f"a value is no {kind}")
    return found


def holds(values: pa.ChunkedArray, kind: pa.DataType) -> bool:
    """Whether the values stay what they are in another type."""
    try:
        cast(values, kind)
    except pa.ArrowException:
        return False
    return True
