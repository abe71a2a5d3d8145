"""Tables at the platform's borders: taken from the team's code, checked, written and read.

Times are in UTC, to the microsecond, which is the finest that Feast's join and Delta hold. A time
without a zone is a time in UTC.
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
"""What Arrow and pandas raise for values that no column of a table holds."""


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table, without its index; the same rows give the same bytes.

    Raises:
        Problem: parquet cannot hold a column.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        table.to_parquet(path, index=False)
    except UNHOLDABLE as error:
        raise Problem(f"{path.stem}: {reason(error)}") from None


def read(path: Path) -> pd.DataFrame:
    """Read a table that an earlier stage wrote."""
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise Problem(f"no {path}: type `make pipeline`") from None


def stored(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table as `read` would after `write`, so that all stages see the same types.

    Raises:
        Problem: Arrow cannot hold a column, or not give it back.
    """
    kinds = {str(column): kind for column, kind in table.dtypes.items()}
    seconds = [column for column, kind in kinds.items() if getattr(kind, "unit", "") == "s"]
    finer = {column: table[column].dt.as_unit("ms") for column in seconds}  # as parquet has them
    try:
        arrow = pa.Table.from_pandas(table.assign(**finer), preserve_index=False)
    except UNHOLDABLE as error:
        raise Problem(f"{name}: {reason(error)}") from None
    try:
        found: pd.DataFrame = arrow.to_pandas()
    except UNHOLDABLE:  # such as a category of intervals, which Arrow writes and cannot read
        column = next(each for each in arrow.column_names if not _readable(arrow.select([each])))
        raise Problem(
            f"{name}: {column}: its values cannot be read back once they are written: make them"
            " texts, by .astype(str)"
        ) from None
    return found


def _readable(table: pa.Table) -> bool:
    try:
        table.to_pandas()
    except UNHOLDABLE:
        return False
    return True


def reason(error: Exception) -> str:
    """Return an error of Arrow or pandas as one line, the column before what is wrong with it."""
    return ": ".join(" ".join(str(part).split()) for part in reversed(error.args))


def taken(table: Any, source: str, *, timed: bool = False) -> pd.DataFrame:
    """Return a table that the team's code made in the form that the platform works with.

    Its rows are numbered from 0, whatever its index was.

    Args:
        table: what the code returned.
        source: the code's name, for messages.
        timed: whether its rows have an `event_timestamp`, which is brought to UTC.

    Raises:
        Problem: it is no DataFrame, its columns have no proper names, or the times are none.
    """
    found = framed(table, source).reset_index(drop=True)
    if not timed:
        return found
    if TIME not in found:
        raise Problem(f"{source}: there is no column {TIME}: add it")
    try:
        return found.assign(**{TIME: utc(found[TIME])})
    except UNHOLDABLE as error:
        raise Problem(f"{source}: {TIME}: {reason(error)}: return datetimes") from None


def framed(table: Any, source: str) -> pd.DataFrame:
    """Return the table if it is one, each column with a text of its own as its name.

    Raises:
        Problem: it is no DataFrame, or the first name that is wrong.
    """
    if not isinstance(table, pd.DataFrame):
        raise Problem(f"{source}: a {type(table).__name__} and no DataFrame")
    check_names(table, source)
    return table


def check_names(names: Iterable[Any], source: str, *, ignore_case: bool = False) -> None:
    """Check that each name is a text, and there once.

    Raises:
        Problem: the first that is not.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise Problem(f"{source}: a column is named {name!r}: give it a text for a name")
        key = name.lower() if ignore_case else name
        if key in seen:
            alike = "" if seen[key] == name else ", which differ by case alone"
            raise Problem(f"{source}: two columns are named {seen[key]} and {name}{alike}")
        seen[key] = name


def apart(names: Iterable[Any], taken: Iterable[Any], prefix: str) -> dict[str, str]:
    """Return new names of columns that stand beside others, without regard to case.

    A name that is `taken` gets the prefix, as often as it needs it; all others stay.
    """
    names = list(names)
    used, own = {name.lower() for name in taken}, {name.lower() for name in names}
    found = {}
    for name in names:
        new = name
        while new.lower() in used or (new != name and new.lower() in own):
            new = prefix + new
        found[name] = new
        used.add(new.lower())
    return found


def utc(times: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return datetimes, dates or ISO 8601 texts as UTC, to the microsecond.

    Raises:
        ValueError, TypeError: a value is none of these.
    """
    if isinstance(times.dtype, np.dtype) and times.dtype.kind == "M":
        times = times.dt.tz_localize("UTC")
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        kinds = {type(value) for value in times.dropna()}
        if odd := [
            one.__name__ for one in kinds if not issubclass(one, str | date | np.datetime64)
        ]:
            raise TypeError(f"values of type {odd[0]}")
        if any(issubclass(one, str) for one in kinds):
            times = pd.to_datetime(times, utc=True, format="ISO8601")
    found: pd.Series[Any] = times.astype(UTC)
    return found


def check(table: pd.DataFrame, schema: type[DataFrameModel], name: str) -> pd.DataFrame:
    """Return the table with the schema's types, its rows numbered from 0.

    A number or a time is brought to the schema's type where it stays the same number or time.

    Raises:
        Problem: which rules which rows break, the first ten of them whole.
    """
    wanted, rows = schema.to_schema(), framed(table, name)
    if wanted.index is None:
        rows = rows.reset_index(drop=True)
    rows, lost = _brought(rows, wanted.columns)
    if lost:
        raise Problem("\n".join([_title(schema, name), *lost]))
    try:
        return schema.validate(rows, lazy=True)
    except SchemaErrors as error:
        raise Problem(_explain(rows, error.failure_cases, schema, name)) from None


def _brought(table: pd.DataFrame, columns: Mapping[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """The table, its numbers and times of the schema's types; and what that would change.

    Pandera would make 10 of 10.75 where the schema has it coerce, and refuse a unit of time.
    """
    brought, lost = {}, []
    for name, column in columns.items():
        declared = getattr(column.dtype, "type", None)
        if name not in table or declared is None or table[name].dtype == declared:
            continue
        values, kind = table[name], getattr(declared, "kind", "O")
        if kind == "M" and not getattr(column.dtype, "time_zone_agnostic", False):
            brought[name] = _times(values, declared)
        elif kind in "biuf" and _numbers(values):
            try:
                found = values.astype(declared)
            except UNHOLDABLE:
                continue  # pandera says which
            changed = (found != values) & found.notna() & values.notna()
            if not changed.any():
                brought[name] = found
            elif kind != "f":  # a fraction is rounded where the schema has a shorter one
                example = values[changed].iloc[0]
                lost.append(f"  {name}: {changed.sum()} values are no {declared}, as {example!r}")
    return table.assign(**brought), lost


def _numbers(values: "pd.Series[Any]") -> bool:
    if values.dtype == object:
        return pd.api.types.infer_dtype(values) in ("boolean", "integer", "floating", "decimal")
    return pd.api.types.is_numeric_dtype(values)


def _times(values: "pd.Series[Any]", declared: Any) -> "pd.Series[Any]":
    """The times in the schema's unit and zone; as they are where that would change them."""
    zone = getattr(declared, "tz", None)
    if zone and str(zone) != "UTC" and values.dtype.kind == "M" and values.dt.tz is None:
        return values  # they may be times of that zone: whether they are, `coerce` says
    try:
        exact = utc(values)
        found = exact.dt.tz_convert(zone).astype(declared)
    except UNHOLDABLE:
        return values
    return found if utc(found).equals(exact) else values


def _title(schema: type[DataFrameModel], name: str) -> str:
    return f"{name} breaks the schema {schema.__name__} (src/…/schema.py):"


def finite(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the column with its infinite values as missing ones."""
    if not pd.api.types.is_float_dtype(column):
        return column
    return column.mask(np.isinf(column.to_numpy(float, na_value=np.nan)))


def texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return each value as text; pandas' own way refuses bytes that are no UTF-8."""
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


def _broken(column: Any, check: str, rows: int, example: Any, row: Any) -> str:
    if check == "column_in_dataframe":
        return f"{example}: there is no such column"
    if check == "column_in_schema":
        return f"{example}: the schema has no such column"
    if check.startswith("dtype(") and pd.isna(row):
        return f"{column}: the type is {example}, and should be {check[7:-2]}"
    return f"{column or 'table'}: {check} broken {rows} times, as by {example!r}"
