"""Check the tables that Feast reads, and the rows that it joins to them, before it does.

Feast takes any of two rows of one key and time, another one at each run; and where the types of
keys differ, a join can find what a look-up cannot.
"""

from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from .errors import Problem
from .feast_api import FeatureView, FileSource, ParquetFormat, ValueType
from .projections import Projection, Service


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


FITS: dict[ValueType, Callable[[pa.DataType], bool]] = {
    ValueType.STRING: _is_text,
    ValueType.INT32: types.is_integer,
    ValueType.INT64: types.is_integer,
    ValueType.BOOL: types.is_boolean,
}
"""Which types of a table's column may hold keys of a type of Feast's; any, where none is named."""
COUNT = "count_all"


def check(service: Service) -> None:
    """Check the tables of the views that a service reads; what is no file is not looked into.

    Raises:
        Problem: a table or column is missing, a key has another type than in Feast or is null, or
            two rows have the same key and time.
    """
    checked = set()
    for one in service.lookups:
        if one.view.name not in checked and isinstance(one.view.batch_source, FileSource):
            _check_view(one, one.view.batch_source)
        checked.add(one.view.name)


def check_rows(rows: pd.DataFrame, service: Service) -> None:
    """Check that rows have what their features are found by.

    Raises:
        Problem: a key is missing, or has another type than in Feast.
    """
    for name, kind in service.keys.items():
        if name not in rows:
            raise Problem(
                f"features.examples gives no {name}, by which Feast finds or computes features:"
                " add it"
            )
        found = _type(rows[name])
        # Whole numbers of which one is missing are fractions: those rows find nothing.
        fits = types.is_floating(found) and kind in (ValueType.INT32, ValueType.INT64)
        if not (fits or types.is_null(found)):
            _check_type(f"features.examples: {name}", found, kind)


def _check_view(one: Projection, source: FileSource) -> None:
    view, own = one.view, {new: old for old, new in source.field_mapping.items()}
    keys = {own.get(key, key): key for key in one.keys}
    times = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
    features = [own.get(field.name, field.name) for field in view.features]
    if not isinstance(source.file_format or ParquetFormat(), ParquetFormat):
        return
    table = _read(source, [*keys, *times], features)
    for column, key in keys.items():
        _check_key(source, view, table[column], key, column)
    if twice := _twice(table):
        # Of rows that are the same as a whole it does not matter which is taken.
        whole = _read(source, [*keys, *times, *features], [])
        distinct = whole.group_by(whole.column_names).aggregate([])
        if twice := _twice(distinct.select(table.column_names)):
            raise Problem(
                f"{source.name}: two rows have {twice}: keep one of them, or say in its source"
                " which came later, by a created_timestamp_column"
            )


def _read(source: FileSource, columns: list[str], further: list[str]) -> pa.Table:
    """Read columns of a table, which has to have the further ones too."""
    filesystem, path = FileSource.create_filesystem_and_path(
        source.path, source.s3_endpoint_override or ""
    )
    try:
        names = pq.ParquetDataset(path, filesystem=filesystem).schema.names
        if missing := [name for name in [*columns, *further] if name not in names]:
            raise Problem(f"{source.name} has no {', '.join(missing)}, which its view names")
        return pq.read_table(path, columns=columns, filesystem=filesystem)
    except FileNotFoundError:
        raise Problem(
            f"{source.name}: there is no {source.path}, which feature_repo/ names"
        ) from None


def _check_key(
    source: FileSource, view: FeatureView, values: pa.ChunkedArray, key: str, column: str
) -> None:
    declared = {field.name: field.dtype.to_value_type() for field in view.entity_columns}
    if count := values.null_count:
        whole = ", then .astype('int64')" if types.is_floating(values.type) else ""
        raise Problem(
            f"{source.name}: {column} is a key and {count:,} rows have none: leave them out, by"
            f" .dropna(subset=[{column!r}]){whole}"
        )
    _check_type(f"{source.name}: {column}", values.type, declared[key])


def _check_type(place: str, found: pa.DataType, kind: ValueType) -> None:
    kept = found.value_type if types.is_dictionary(found) else found
    if kind in FITS and not FITS[kind](kept):
        raise Problem(
            f"{place} has the type {kept}, and Feast has the key as {kind.name}: make them agree,"
            " in features.py or by the entity's value_type in feature_repo/"
        )


def _type(column: pd.Series) -> pa.DataType:
    try:
        return pa.array(column, from_pandas=True).type
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise Problem(f"features.examples: {column.name} is of no one type: {error}") from None


def _twice(table: pa.Table) -> str:
    """The first of the values that two rows of a table have; empty where each is another."""
    counted = table.group_by(table.column_names).aggregate([([], COUNT)])
    more = counted.filter(pc.greater(counted[COUNT], 1)).drop(COUNT)
    if not more.num_rows:
        return ""
    (first,) = (
        more.sort_by([(name, "ascending") for name in more.column_names]).slice(0, 1).to_pylist()
    )
    return ", ".join(f"{name}={value}" for name, value in first.items())
