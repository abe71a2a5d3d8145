"""Generate tables for border cases: ordinary tables with one to three oddities.

A seed always gives the same case. The oddities are named, so that a failure shows where to look.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

UTC = Annotated[pd.DatetimeTZDtype, "ns", "UTC"]
DAYS = 60
SHOPS = ["north", "south", "west"]
LABEL = "sold"


@dataclass
class Case:
    """One case: its tables, the team's schemas and types for them, and its oddities."""

    events: pd.DataFrame
    """One row per shop and day: `shop`, `event_timestamp`, request columns, label."""
    known: pd.DataFrame
    """History of each shop's features: `shop`, `event_timestamp`, `temp`, further features."""
    prediction: str = "score:float"
    days: tuple[str, ...] = ("2026-02-28", "2026-03-01")
    """Days to score, in order."""
    types: dict[str, Any] = field(default_factory=dict)
    """Annotations of request columns and features; those not listed have no type."""
    times: dict[str, Any] = field(default_factory=lambda: {"events": UTC, "known": UTC})
    coerce: bool = True
    """True if the schemas convert times to their own type."""
    key_type: str = "STRING"
    served: dict[str, str] = field(default_factory=lambda: {"temp": "Float64"})
    """Feast's type names by feature; names only, since importing Feast takes seconds."""
    later: tuple[str, pd.Series] | None = None
    """Name and values that replace the column `step` before the second day is scored."""
    odd: list[str] = field(default_factory=list)

    @property
    def requested(self) -> list[Any]:
        """Request columns that the model uses."""
        return [n for n in self.events if n not in ("shop", "event_timestamp", LABEL)]

    def next_day(self) -> None:
        """Change the source, as happens between two days."""
        if self.later and "step" in self.events:
            index = [*self.events].index("step")
            if self.later[0] != "further":
                del self.events["step"]
            self.events.insert(index, *self.later, True)
            self.later = None

    @property
    def schemas(self) -> dict[str, Any]:
        """Contents of schema.py as a team would write them, with nullable columns."""
        inputs = {name: self.types.get(name, Any) for name in [*self.requested, *self.served]}
        keys = {"shop": Any}
        examples = {**inputs, "event_timestamp": self.times["events"], LABEL: bool}
        events = {**keys, **{n: self.types.get(n, Any) for n in self.requested}}
        name = self.prediction.rpartition(":")[0]
        return {
            "Features": model("Features", inputs, self.coerce),
            "Examples": model("Examples", examples, self.coerce),
            "Predictions": model("Predictions", {name: Any}),
            "RAW": {
                "events": model(
                    "Events",
                    {**events, "event_timestamp": self.times["events"], LABEL: bool},
                    self.coerce,
                ),
                "known": model(
                    "Known", {**keys, "event_timestamp": self.times["known"]}, self.coerce
                ),
            },
            "EXAMPLE": {"shop": "north", **dict.fromkeys(map(str, self.requested), 1)},
        }


def model(name: str, types: dict[Any, Any], coerce: bool = True) -> type[pa.DataFrameModel]:
    """Return a schema with these columns; their names are aliases, since any name is allowed."""
    fields = {
        f"column_{n}": pa.Field(
            alias=each, nullable=True, coerce=coerce and each == "event_timestamp"
        )
        for n, each in enumerate(types)
    }
    annotations = {
        f"column_{n}": Series[each]  # type: ignore[valid-type]
        for n, each in enumerate(types.values())
    }
    return type(name, (pa.DataFrameModel,), {**fields, "__annotations__": annotations})


def ordinary() -> Case:
    """Return a case without oddities."""
    days = pd.date_range("2026-01-01", periods=DAYS, tz="UTC", unit="ns")
    shops = pd.MultiIndex.from_product([days, SHOPS], names=["event_timestamp", "shop"])
    events = shops.to_frame(index=False)
    events["event_timestamp"] += pd.Timedelta(hours=9)
    events["amount"] = np.arange(len(events)) % 17 / 4 + 1
    events[LABEL] = events["amount"] > 3
    known = shops.to_frame(index=False)
    known["temp"] = np.arange(len(known)) % 23 / 2
    return Case(events, known)


def make(seed: int) -> Case:
    """Return the case of a seed."""
    draw, case = random.Random(seed), ordinary()
    for oddity in draw.sample(ODDITIES, draw.choice([1, 1, 2, 3])):
        case.odd.append(f"{oddity.__name__}: {oddity(case, draw)}")
    return case


def time_of_a_table(case: Case, draw: random.Random) -> str:
    name = draw.choice(["events", "known"])
    table = getattr(case, name)
    utc = table["event_timestamp"]
    unit = draw.choice(["s", "ms", "us", "ns"])
    forms: list[tuple[str, Callable[[], Any]]] = [
        ("UTC", lambda: utc.dt.as_unit(unit)),
        ("naive", lambda: utc.dt.tz_localize(None).dt.as_unit(unit)),
        ("New York", lambda: utc.dt.tz_convert("America/New_York").dt.as_unit(unit)),
        ("+05:30", lambda: utc.dt.tz_convert("+05:30").dt.as_unit(unit)),
        ("objects", lambda: pd.Series([*utc], utc.index, dtype=object)),
        ("texts", lambda: utc.dt.strftime("%Y-%m-%dT%H:%M:%S%z")),
        ("dates", lambda: utc.dt.date),
        ("arrow", lambda: utc.astype("timestamp[us, tz=UTC][pyarrow]")),
        ("one missing", lambda: utc.where(utc.index != 3)),
        ("seconds", lambda: utc.astype("int64") // 10**9),
    ]
    form, convert = draw.choice(forms)
    table["event_timestamp"] = convert()
    annotation = draw.choice([Any, UTC, Annotated[pd.DatetimeTZDtype, "us", "UTC"]])
    case.times[name], case.coerce = annotation, draw.random() < 0.5
    return f"{name} in {form}, {unit}; the schema has {annotation}, coerce={case.coerce}"


def type_of_a_key(case: Case, draw: random.Random) -> str:
    numbers = {shop: number for number, shop in enumerate(SHOPS, 7)}
    forms: list[tuple[str, Callable[[Any], Any]]] = [
        ("int64", lambda key: key.map(numbers).astype("int64")),
        ("Int64", lambda key: key.map(numbers).astype("Int64")),
        (
            "Int64, one missing",
            lambda key: key.map(numbers).astype("Int64").where(key.index != 2),
        ),
        (
            "float, one missing",
            lambda key: key.map(numbers).astype(float).where(key.index != 2),
        ),
        ("category", lambda key: key.astype("category")),
        ("arrow text", lambda key: key.astype("string[pyarrow]")),
        ("one None", lambda key: key.astype(object).where(key.index != 2, None)),
        ("mixed", lambda key: key.where(key.index % 2 == 0, key.map(numbers))),
        ("empty text", lambda key: key.replace("west", "")),
    ]
    form, convert = draw.choice(forms)
    tables = draw.choice([["events"], ["known"], ["events", "known"]])
    for name in tables:
        table = getattr(case, name)
        table["shop"] = convert(table["shop"])
    if draw.random() < 0.5 and "nt64" in form:
        case.key_type = "INT64"
    return f"{form} in {tables}, Feast has {case.key_type}"


def rows_of_one_key_and_time(case: Case, draw: random.Random) -> str:
    duplicates = case.known.sample(frac=0.3, random_state=draw.randrange(99))
    if differ := draw.random() < 0.7:
        duplicates = duplicates.assign(temp=duplicates["temp"] + 100)
    case.known = pd.concat([case.known, duplicates], ignore_index=True)
    return "with different values" if differ else "the same rows twice"


NAMES: list[Any] = [
    *("row", "date", "model_version", "request", "predicted_at", "score", "prediction_score"),
    *("Amount", "shop_", "event timestamp", "with space", "größe", "a.b", "a;b=c", "1", "select"),
    *("known__temp", "temp", "__index_level_0__", "$x$", "{x}", "a/b", "per cent %", "quote'\"`"),
    *(
        "x" * 300,
        "line\nbreak",
        "tab\t",
        " ",
        "",
        5,
        ("a", "b"),
        None,
        "amount ",
        "index",
        "level_0",
    ),
]


def name_of_a_request_column(case: Case, draw: random.Random) -> str:
    name = draw.choice(NAMES)
    case.events.insert(len(case.events.columns) - 1, name, range(len(case.events)), True)
    return repr(name)[:40]


def name_of_a_feature(case: Case, draw: random.Random) -> str:
    name = draw.choice([n for n in NAMES if isinstance(n, str) and n != "temp"])
    case.known[name] = np.arange(len(case.known)) / 2
    case.served[name] = "Float64"
    return repr(name)[:40]


TEXTS = [
    "$",
    "$$",
    "$$$",
    "<b>&",
    "a|b",
    "x" * 5_000,
    "\U0001f600",
    "\x00",
    "\ud800",
    "\\",
    "'\"",
    "",
]


def _values(draw: random.Random, number: int) -> tuple[str, Any]:
    whole = np.arange(number)
    text = np.array([draw.choice(TEXTS) for _ in range(number)], object)
    day = pd.Series(pd.date_range("2026-01-01", periods=number, freq="h"))
    return draw.choice(
        [
            ("int8", lambda: pd.Series(whole % 100, dtype="int8")),
            ("uint64, large", lambda: pd.Series(whole, dtype="uint64") + 2**63),
            ("int64, large", lambda: pd.Series(whole + 2**53 + 1)),
            ("Int64, missing", lambda: pd.Series(whole, dtype="Int64").where(whole % 3 > 0)),
            ("float16", lambda: pd.Series(whole / 4, dtype="float16")),
            ("float32", lambda: pd.Series(whole / 3, dtype="float32")),
            ("infinite", lambda: pd.Series(whole / 4).replace({1.0: np.inf, 2.0: -np.inf})),
            ("missing", lambda: pd.Series(whole / 4).where(whole % 3 > 0)),
            ("None alone", lambda: pd.Series([None] * number, dtype=object)),
            ("NaN alone", lambda: pd.Series(np.full(number, np.nan))),
            ("bool", lambda: pd.Series(whole % 2 == 0)),
            (
                "boolean, missing",
                lambda: pd.Series(whole % 2 == 0, dtype="boolean").where(whole % 3 > 0),
            ),
            (
                "bool and None",
                lambda: pd.Series([True, None, False] * number, dtype=object)[:number],
            ),
            ("texts", lambda: pd.Series(text)),
            (
                "arrow texts",
                lambda: (
                    pd.Series([t for t in text if t != "\ud800"] or ["a"])
                    .sample(number, replace=True, random_state=0, ignore_index=True)
                    .astype("string[pyarrow]")
                ),
            ),
            ("category", lambda: pd.Series(pd.Categorical(whole % 3, [0, 1, 2, 9]))),
            (
                "category of texts",
                lambda: pd.Series(np.where(whole % 2, "a", "$")).astype("category"),
            ),
            (
                "ordered category",
                lambda: pd.Series(
                    pd.Categorical(np.where(whole % 2, "hi", "lo"), ["lo", "hi"], ordered=True)
                ),
            ),
            ("decimal", lambda: pd.Series([Decimal(int(n)) / 8 for n in whole])),
            ("decimal, large", lambda: pd.Series([Decimal(10) ** 30 + int(n) for n in whole])),
            ("date", lambda: day.dt.date),
            ("naive time, us", lambda: day.dt.as_unit("us")),
            (
                "zoned time",
                lambda: day.dt.tz_localize("America/New_York"),
            ),
            ("time of day", lambda: day.dt.time),
            ("timedelta", lambda: pd.Series(pd.to_timedelta(whole, unit="min"))),
            ("timedelta, fine", lambda: pd.Series(pd.to_timedelta(whole, unit="ns"))),
            ("bytes", lambda: pd.Series([bytes([n % 256]) for n in whole])),
            ("list", lambda: pd.Series([[int(n), 2] for n in whole])),
            ("dict", lambda: pd.Series([{"a": int(n)} for n in whole])),
            ("array", lambda: pd.Series([np.array([n, 1.5]) for n in whole])),
            (
                "mixed",
                lambda: pd.Series([int(n) if n % 2 else str(n) for n in whole], dtype=object),
            ),
            (
                "int and float",
                lambda: pd.Series([int(n) if n % 2 else n / 2 for n in whole], dtype=object),
            ),
            ("complex", lambda: pd.Series(whole * 1j)),
            ("period", lambda: day.dt.to_period("D")),
            ("interval", lambda: pd.Series(pd.cut(whole, 3))),
            ("sparse", lambda: pd.Series(pd.arrays.SparseArray(whole % 2))),
            ("set", lambda: pd.Series([{int(n)} for n in whole])),
            (
                "whole, then fractions",
                lambda: (
                    pd.Series(np.where(whole < number - 3, whole, whole + 0.75))
                    .astype(object)
                    .map(lambda v: int(v) if v == int(v) else v)
                ),
            ),
        ]
    )


def values_of_a_request_column(case: Case, draw: random.Random) -> str:
    form, create = _values(draw, len(case.events))
    column = create()
    column.index = case.events.index
    case.events.insert(len(case.events.columns) - 1, "extra", column, True)
    return form


def column_that_is_another_on_the_second_day(case: Case, draw: random.Random) -> str:
    """Change the name or the type of a column: the days' tables were loaded at different times."""
    whole = pd.Series(np.arange(len(case.events)), case.events.index)
    forms = {
        "whole": whole,
        "fractions": whole + 0.75,
        "texts": whole.astype(str),
        "missing": pd.Series([None] * len(whole), whole.index, dtype=object),
        "truths": whole % 2 == 0,
        "nullable": whole.astype("Int64").where(whole % 3 > 0),
        "small": whole.astype("float32"),
        "category": whole.astype(str).astype("category"),
        "decimal": whole.map(lambda number: Decimal(number) / 4),
        "time": pd.Series(pd.date_range("2026-01-01", periods=len(whole)), whole.index),
        "date": pd.Series(pd.date_range("2026-01-01", periods=len(whole)).date, whole.index),
    }
    first, second = draw.sample(list(forms), 2)
    case.events.insert(3, "step", forms[first], True)
    later = draw.choice([("step", forms[second]), ("step", forms[second]), ("Step", forms[first])])
    if draw.random() < 0.2:
        later = ("further", forms[second])
    case.later = later
    return f"step is {first}, then {later[0]} is {second}"


def values_of_a_feature(case: Case, draw: random.Random) -> str:
    size = len(case.known)
    whole = np.arange(size)
    form, column, dtype = draw.choice(
        [
            ("Int64, missing", pd.Series(whole, dtype="Int64").where(whole % 3 > 0), "Int64"),
            ("int64", pd.Series(whole), "Int64"),
            ("bool", pd.Series(whole % 2 == 0), "Bool"),
            ("texts", pd.Series([draw.choice(TEXTS) for _ in whole]), "String"),
            ("infinite", pd.Series(whole / 4).replace({1.0: np.inf}), "Float64"),
            ("missing", pd.Series(np.full(size, np.nan)), "Float64"),
            ("None", pd.Series([None] * size, dtype=object), "String"),
            ("float for Int64", pd.Series(whole / 2), "Int64"),
            ("text for Float64", pd.Series(whole.astype(str)), "Float64"),
        ]
    )
    case.known["further"], case.served["further"] = column, dtype
    return form


def index_of_a_table(case: Case, draw: random.Random) -> str:
    name = draw.choice(["events", "known"])
    table = getattr(case, name)
    form = draw.choice(
        ["repeating", "texts", "two levels", "shuffled", "from 1000", "named like a column"]
    )
    if form == "shuffled":
        table = table.sample(frac=1, random_state=1)
    else:
        table.index = {
            "repeating": pd.Index([0] * len(table)),
            "texts": pd.Index([f"r{n}" for n in range(len(table))]),
            "two levels": pd.MultiIndex.from_arrays([table["shop"], range(len(table))]),
            "from 1000": pd.RangeIndex(1000, 1000 + len(table)),
            "named like a column": pd.Index(range(len(table)), name="shop"),
        }[form]
    setattr(case, name, table)
    return f"{name}: {form}"


def size_of_a_table(case: Case, draw: random.Random) -> str:
    name, rows = draw.choice(["events", "known"]), draw.choice([0, 1, 2])
    setattr(case, name, getattr(case, name).head(rows))
    return f"{name} has {rows} rows"


def few_rows_on_a_day(case: Case, draw: random.Random) -> str:
    last = case.events["event_timestamp"] >= pd.Timestamp(case.days[-1], tz="UTC")
    case.events = case.events[~last | (case.events["shop"] == "north")]
    return "one"


def type_of_the_prediction(case: Case, draw: random.Random) -> str:
    kinds = ["float", "whole", "small", "nullable", "truth", "text", "category", "infinite"]
    name = draw.choice(
        ["score", "score", "score", "date", "row", "amount", "shop", "Score", "model_version"]
    )
    case.prediction = f"{name}:{draw.choice([*kinds, 'missing', 'decimal'])}"
    return case.prediction


def a_schema_with_types(case: Case, draw: random.Random) -> str:
    case.types["amount"] = draw.choice([float, int, np.float32, pd.Int64Dtype, str])
    return str(case.types["amount"])


def a_far_time(case: Case, draw: random.Random) -> str:
    day = draw.choice(["1677-09-22", "2261-04-11", "1900-01-01", "9999-12-31"])
    table = draw.choice([case.events, case.known])
    stamps = table["event_timestamp"].dt.as_unit("us")
    table["event_timestamp"] = stamps.where(
        np.arange(len(table)) != 1, pd.Timestamp(day, tz="UTC").as_unit("us")
    )
    return day


ODDITIES: list[Callable[[Case, random.Random], str]] = [
    time_of_a_table,
    type_of_a_key,
    rows_of_one_key_and_time,
    name_of_a_request_column,
    name_of_a_feature,
    values_of_a_request_column,
    values_of_a_request_column,
    column_that_is_another_on_the_second_day,
    column_that_is_another_on_the_second_day,
    values_of_a_feature,
    index_of_a_table,
    size_of_a_table,
    few_rows_on_a_day,
    type_of_the_prediction,
    a_schema_with_types,
    a_far_time,
]
