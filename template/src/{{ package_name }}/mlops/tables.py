"""Tables at the platform's boundaries: accepted from the team's code, checked, written and read.

Times are in UTC with microseconds, the highest precision of Feast's join and of Delta. A time
without a time zone is taken as UTC.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandera.errors import SchemaErrors
from pandera.pandas import DataFrameModel

from .errors import Problem

SHOWN = 10
TIME = "event_timestamp"
UTC: Any = "datetime64[us, UTC]"
UNHOLDABLE = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""Raised by Arrow and pandas for values that a column cannot hold."""


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index; equal rows give equal bytes.

    Raises:
        Problem: Parquet cannot hold a column.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        table.to_parquet(path, index=False)
    except UNHOLDABLE as error:
        raise Problem(f"{path.stem}: {reason(error)}") from None


def read(path: Path) -> pd.DataFrame:
    """Read a table that an earlier stage wrote.

    Raises:
        Problem: there is no such file.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise Problem(f"no {path}: type `make pipeline`") from None


def stored(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table as `write` and `read` would, so that all stages see the same types.

    Raises:
        Problem: Arrow cannot hold a column, or not give it back.
    """
    kinds = {str(column): kind for column, kind in table.dtypes.items()}
    seconds = [column for column, kind in kinds.items() if getattr(kind, "unit", "") == "s"]
    # Parquet has no type for seconds.
    finer = {column: table[column].dt.as_unit("ms") for column in seconds}
    try:
        arrow = pa.Table.from_pandas(table.assign(**finer), preserve_index=False)
    except UNHOLDABLE as error:
        raise Problem(f"{name}: {reason(error)}") from None
    try:
        restored: pd.DataFrame = arrow.to_pandas()
    except UNHOLDABLE:  # such as a category of intervals, which Arrow writes and cannot read
        column = next(each for each in arrow.column_names if not _readable(arrow.select([each])))
        raise Problem(
            f"{name}: {column}: its values cannot be read back once they are written: convert them"
            " to text, with .astype(str)"
        ) from None
    return restored


def _readable(table: pa.Table) -> bool:
    try:
        table.to_pandas()
    except UNHOLDABLE:
        return False
    return True


def reason(error: Exception) -> str:
    """Return an error of Arrow or pandas as one line that begins with the column."""
    return ": ".join(" ".join(str(part).split()) for part in reversed(error.args))


def taken(table: object, source: str, *, timed: bool = False) -> pd.DataFrame:
    """Return a table from the team's code in the platform's form: rows numbered from 0, UTC times.

    Args:
        table: the return value of the team's code.
        source: the name of that code, for messages.
        timed: True if the rows must have an `event_timestamp`, which is converted to UTC.

    Raises:
        Problem: it is not a DataFrame, a column name is invalid, or there are no valid times.
    """
    rows = framed(table, source).reset_index(drop=True)
    if not timed:
        return rows
    if TIME not in rows:
        raise Problem(f"{source}: there is no column {TIME}: add it")
    try:
        return rows.assign(**{TIME: utc(rows[TIME])})
    except UNHOLDABLE as error:
        raise Problem(f"{source}: {TIME}: {reason(error)}: return datetimes") from None


def framed(table: object, source: str) -> pd.DataFrame:
    """Return the table if it is a DataFrame whose column names are unique, nonblank strings.

    Raises:
        Problem: it is not; names the first invalid column.
    """
    if not isinstance(table, pd.DataFrame):
        raise Problem(f"{source}: a {type(table).__name__}, not a DataFrame: return a DataFrame")
    check_names(table, source)
    return table


def check_names(names: Iterable[Any], source: str, *, ignore_case: bool = False) -> None:
    """Check that each name is a nonblank string and occurs once.

    Raises:
        Problem: names the first that is not valid.
    """
    by_key: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise Problem(f"{source}: a column is named {name!r}: use a nonblank string")
        key = name.lower() if ignore_case else name
        if key in by_key:
            alike = "" if by_key[key] == name else ", which differ only in case"
            raise Problem(f"{source}: two columns are named {by_key[key]} and {name}{alike}")
        by_key[key] = name


def apart(names: Iterable[Any], taken: Iterable[Any], prefix: str) -> dict[str, str]:
    """Map column names to new ones that do not collide with `taken`, ignoring case.

    A name that is taken gets the prefix, repeatedly if necessary; all others stay.
    """
    names = list(names)
    used, own = {name.lower() for name in taken}, {name.lower() for name in names}
    renamed = {}
    for name in names:
        new = name
        while new.lower() in used or (new != name and new.lower() in own):
            new = prefix + new
        renamed[name] = new
        used.add(new.lower())
    return renamed


def utc(times: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return datetimes, dates or ISO 8601 strings as UTC with microseconds.

    Raises:
        ValueError, TypeError: a value is none of these.
    """
    if isinstance(times.dtype, np.dtype) and times.dtype.kind == "M":
        times = times.dt.tz_localize("UTC")
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        kinds = {type(value) for value in times.dropna()}
        if odd := [
            kind.__name__ for kind in kinds if not issubclass(kind, str | date | np.datetime64)
        ]:
            raise TypeError(f"values of type {odd[0]}")
        if any(issubclass(kind, str) for kind in kinds):
            times = pd.to_datetime(times, utc=True, format="ISO8601")
    converted: pd.Series[Any] = times.astype(UTC)
    return converted


def check(table: pd.DataFrame, schema: type[DataFrameModel], name: str) -> pd.DataFrame:
    """Validate a table; return it with the schema's types and its rows numbered from 0.

    Numbers and times are converted to the schema's type if that does not change them.

    Raises:
        Problem: rows break the schema; lists the broken rules and the first ten of the rows.
    """
    expected, rows = schema.to_schema(), framed(table, name)
    if expected.index is None:
        rows = rows.reset_index(drop=True)
    rows, lost = _converted(rows, expected.columns)
    if lost:
        raise Problem("\n".join([_title(schema, name), *lost]))
    try:
        return schema.validate(rows, lazy=True)
    except SchemaErrors as error:
        raise Problem(_explain(rows, error.failure_cases, schema, name)) from None


def _converted(table: pd.DataFrame, columns: Mapping[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """Return the table with the schema's types, and a line for each column that would lose values.

    Pandera would truncate 10.75 to 10 if the schema coerces, and refuse another unit of time.
    """
    converted, lost = {}, []
    for name, column in columns.items():
        declared = getattr(column.dtype, "type", None)
        if name not in table or declared is None or table[name].dtype == declared:
            continue
        values, kind = table[name], getattr(declared, "kind", "O")
        if kind == "M" and not getattr(column.dtype, "time_zone_agnostic", False):
            converted[name] = _times(values, declared)
        elif kind in "biuf" and _numbers(values):
            try:
                cast = values.astype(declared)
            except UNHOLDABLE:
                continue  # pandera reports it
            changed = (cast != values) & cast.notna() & values.notna()
            if not changed.any():
                converted[name] = cast
            elif kind != "f":  # pandera may round floats to a shorter type
                example = values[changed].iloc[0]
                lost.append(
                    f"  {name}: {changed.sum()} values do not fit {declared}, such as {example!r}"
                )
    return table.assign(**converted), lost


def _numbers(values: "pd.Series[Any]") -> bool:
    if values.dtype == object:
        return pd.api.types.infer_dtype(values) in ("boolean", "integer", "floating", "decimal")
    return pd.api.types.is_numeric_dtype(values)


def _times(values: "pd.Series[Any]", declared: Any) -> "pd.Series[Any]":
    """Return the times in the schema's unit and zone, unchanged if that would alter them."""
    zone = getattr(declared, "tz", None)
    if zone and str(zone) != "UTC" and values.dtype.kind == "M" and values.dt.tz is None:
        return values  # may be local times of that zone; left to the schema's `coerce`
    try:
        exact = utc(values)
        converted = exact.dt.tz_convert(zone).astype(declared)
    except UNHOLDABLE:
        return values
    return converted if utc(converted).equals(exact) else values


def _title(schema: type[DataFrameModel], name: str) -> str:
    return f"{name} breaks the schema {schema.__name__} (src/…/schema.py):"


def finite(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the column with infinite values replaced by missing ones."""
    if not pd.api.types.is_float_dtype(column):
        return column
    return column.mask(np.isinf(column.to_numpy(float, na_value=np.nan)))


def texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return each value as a string; pandas' own conversion rejects bytes that are not UTF-8."""
    return pd.Series([str(value) for value in column], column.index, dtype=object)


def _explain(
    table: pd.DataFrame, failures: pd.DataFrame, schema: type[DataFrameModel], name: str
) -> str:
    rules = (
        failures.groupby(["column", "check"], dropna=False, sort=False)
        .agg(
            rows=("failure_case", "size"),
            example=("failure_case", "first"),
            row=("index", "first"),
        )
        .reset_index()
    )
    lines = [f"  {_broken(*rule)}" for rule in rules.itertuples(index=False)]
    places = pd.to_numeric(failures["index"], errors="coerce").dropna().unique()
    bad = table.loc[table.index.isin(places)]
    if len(bad):
        lines += [f"  the first {min(SHOWN, len(bad))} of {len(bad)} rows:"]
        lines += [f"    {line}" for line in bad.head(SHOWN).to_string().splitlines()]
    return "\n".join([_title(schema, name), *lines])


def _broken(column: object, check: str, rows: int, example: object, row: Any) -> str:
    if check == "column_in_dataframe":
        return f"{example}: there is no such column"
    if check == "column_in_schema":
        return f"{example}: the schema has no such column"
    if check.startswith("dtype(") and pd.isna(row):
        return f"{column}: the type is {example} but should be {check[7:-2]}"
    return f"{column or 'table'}: {check} fails {rows} times, such as for {example!r}"
