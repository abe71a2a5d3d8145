"""Check the tables that Feast reads, and the rows to join with them, before the join.

Of two rows with the same key and time, Feast takes an arbitrary one in each run. If the types of
keys differ, a join can find rows that an online lookup cannot.
"""

from collections.abc import Callable

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from ..errors import Problem
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
"""Arrow types that may hold keys of a Feast type; unlisted Feast types allow any."""
COUNT = "count_all"


def check(service: Service) -> None:
    """Check the tables of the views that a service reads, if they are files.

    Raises:
        Problem: a table or column is missing, a key is null or has another type than in Feast, or
            two rows have the same key and time.
    """
    checked = set()
    for lookup in service.lookups:
        if lookup.view.name not in checked and isinstance(lookup.view.batch_source, FileSource):
            _check_view(lookup, lookup.view.batch_source)
        checked.add(lookup.view.name)


def check_rows(rows: pd.DataFrame, service: Service) -> None:
    """Check that rows have the columns to find or compute their features.

    Raises:
        Problem: a column is missing, or has another type than in Feast.
    """
    for name, kind in service.keys.items():
        if name not in rows:
            raise Problem(
                f"features.examples returns no column {name}, which Feast needs to find or compute"
                " features: add it"
            )
        actual = _type(rows[name])
        # pandas stores integers with missing values as floats; rows without a key find nothing.
        fits = types.is_floating(actual) and kind in (ValueType.INT32, ValueType.INT64)
        if not (fits or types.is_null(actual)):
            _check_type(f"features.examples: {name}", actual, kind)


def _check_view(lookup: Projection, source: FileSource) -> None:
    view, columns = lookup.view, {new: old for old, new in source.field_mapping.items()}
    keys = {columns.get(key, key): key for key in lookup.keys}
    times = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
    features = [columns.get(field.name, field.name) for field in view.features]
    if not isinstance(source.file_format or ParquetFormat(), ParquetFormat):
        return
    table = _read(source, [*keys, *times], features)
    for column, key in keys.items():
        _check_key(source, view, table[column], key, column)
    if _duplicate(table):
        # Identical rows are harmless: it does not matter which one Feast takes.
        full = _read(source, [*keys, *times, *features], [])
        distinct = full.group_by(full.column_names).aggregate([])
        if duplicate := _duplicate(distinct.select(table.column_names)):
            raise Problem(
                f"{source.name}: two rows have {duplicate}: keep one of them, or give the source a"
                " created_timestamp_column, so that Feast takes the later one"
            )


def _read(source: FileSource, columns: list[str], others: list[str]) -> pa.Table:
    """Read columns of a table; check that it also has the others."""
    filesystem, path = FileSource.create_filesystem_and_path(
        source.path, source.s3_endpoint_override or ""
    )
    try:
        names = pq.ParquetDataset(path, filesystem=filesystem).schema.names
        if missing := [name for name in [*columns, *others] if name not in names]:
            raise Problem(f"{source.name} has no {', '.join(missing)}, which its view uses")
        return pq.read_table(path, columns=columns, filesystem=filesystem)
    except FileNotFoundError:
        raise Problem(
            f"{source.name}: there is no {source.path}, which feature_repo/ reads"
        ) from None


def _check_key(
    source: FileSource, view: FeatureView, values: pa.ChunkedArray, key: str, column: str
) -> None:
    declared = {field.name: field.dtype.to_value_type() for field in view.entity_columns}
    if count := values.null_count:
        cast = ", then .astype('int64')" if types.is_floating(values.type) else ""
        raise Problem(
            f"{source.name}: {column} is a key and {count:,} rows have none: drop them with"
            f" .dropna(subset=[{column!r}]){cast}"
        )
    _check_type(f"{source.name}: {column}", values.type, declared[key])


def _check_type(place: str, actual: pa.DataType, kind: ValueType) -> None:
    value_type = actual.value_type if types.is_dictionary(actual) else actual
    if kind in FITS and not FITS[kind](value_type):
        raise Problem(
            f"{place} has the type {value_type}, but the key's type in Feast is {kind.name}: change"
            " features.py, or the entity's value_type in feature_repo/"
        )


def _type(column: pd.Series) -> pa.DataType:
    try:
        return pa.array(column, from_pandas=True).type
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise Problem(f"features.examples: {column.name} mixes types: {error}") from None


def _duplicate(table: pa.Table) -> str:
    """Return the values of the first duplicate row, or "" if all rows are distinct."""
    counts = table.group_by(table.column_names).aggregate([([], COUNT)])
    duplicates = counts.filter(pc.greater(counts[COUNT], 1)).drop(COUNT)
    if not duplicates.num_rows:
        return ""
    order = [(name, "ascending") for name in duplicates.column_names]
    (first,) = duplicates.sort_by(order).slice(0, 1).to_pylist()
    return ", ".join(f"{name}={value}" for name, value in first.items())
