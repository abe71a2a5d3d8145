"""What was known when: recent delays, the weather, and what the timetable says."""

from collections.abc import Mapping

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

HOUR = pd.Timedelta(hours=1)


class Params(BaseModel):
    """The section `features` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    window_hours: int = Field(ge=1, le=48)
    late_minutes: int = Field(ge=1)


def build(raw: Mapping[str, pd.DataFrame], params: Params) -> dict[str, pd.DataFrame]:
    """Give a table a Feast source; a row holds what was known at its `event_timestamp`."""
    flights, hours = raw["flights"], params.window_hours
    return {
        "origin_delays": _recent_delays(flights, "origin", hours),
        "carrier_delays": _recent_delays(flights, "carrier", hours),
        # An observation of an hour is published when the hour is over.
        "weather": raw["weather"].assign(event_timestamp=raw["weather"]["event_timestamp"] + HOUR),
    }


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Give a row a flight, at the time of its scheduled departure."""
    flights = raw["flights"]
    local = flights["event_timestamp"].dt.tz_convert("America/New_York")
    return flights[["event_timestamp", "origin", "dest", "carrier", "distance"]].assign(
        hour=local.dt.hour, weekday=local.dt.weekday
    )


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Give the requests of the flights that arrived, and whether they were late."""
    flights = raw["flights"].dropna(subset="arr_delay")
    asked = requests({"flights": flights}, params)
    return asked.assign(late=flights["arr_delay"] > params.late_minutes)


def _recent_delays(flights: pd.DataFrame, key: str, hours: int) -> pd.DataFrame:
    """Departures of the last `hours` and their mean delay, a row a `key` and full hour.

    A delay is known when the flight has left, which is not when it should have left.
    """
    left = flights.dropna(subset="dep_delay")
    known = left["event_timestamp"] + pd.to_timedelta(left["dep_delay"], unit="min")
    hourly = (
        left.groupby([known.dt.ceil("h").rename("event_timestamp"), key])["dep_delay"]
        .agg(["sum", "count"])
        .unstack(key, fill_value=0)
        .asfreq("h", fill_value=0)
        .rolling(hours, min_periods=1)
        .sum()
        .stack(key, future_stack=True)
    )
    departures = hourly["count"].round().astype("int64")
    mean = (hourly["sum"] / departures).where(departures > 0)
    columns = {f"{key}_departures": departures, f"{key}_delay": mean}
    return pd.DataFrame(columns).reset_index()
