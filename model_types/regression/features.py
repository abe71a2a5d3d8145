"""What was known when: recent delays, who still waits, the weather, and the timetable."""

from collections.abc import Mapping

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

HOUR = pd.Timedelta(hours=1)


class Params(BaseModel):
    """The section `features` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    window_hours: int = Field(ge=1, le=48)


def build(raw: Mapping[str, pd.DataFrame], params: Params) -> dict[str, pd.DataFrame]:
    """Give a table a Feast source; a row holds what was known at its `event_timestamp`."""
    flights, hours = raw["flights"], params.window_hours
    return {
        "origin_delays": _recent_delays(flights, "origin", hours),
        "carrier_delays": _recent_delays(flights, "carrier", hours),
        # Traffic control holds flights at their origin when the destination is full.
        "dest_delays": _recent_delays(flights, "dest", hours),
        # An observation of an hour is published when the hour is over.
        "weather": raw["weather"].assign(event_timestamp=raw["weather"]["event_timestamp"] + HOUR),
    }


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Give a row a flight, at the time of its scheduled departure."""
    flights = raw["flights"]
    local = flights["event_timestamp"].dt.tz_convert("America/New_York")
    columns = ["event_timestamp", "origin", "dest", "carrier", "distance", "scheduled_minutes"]
    return flights[columns].assign(
        minute_of_day=local.dt.hour * 60 + local.dt.minute,
        weekday=local.dt.weekday,
    )


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Give the requests of the flights that arrived, and how late.

    A flight that was cancelled or diverted has no delay at arrival, and is no example.
    """
    flights = raw["flights"].dropna(subset="arr_delay")
    asked = requests({"flights": flights}, params)
    return asked.assign(arr_delay=flights["arr_delay"])


def _recent_delays(flights: pd.DataFrame, key: str, hours: int) -> pd.DataFrame:
    """The last `hours`, a row a `key` and full hour: what left, and what did not.

    The mean delay of what left is too kind while a storm holds the others back; their number
    says so. Both count a flight by when it left, which is not when it should have left.
    """
    delays = pd.to_timedelta(flights["dep_delay"].dropna(), unit="min")
    left = flights["event_timestamp"] + delays.reindex(flights.index)
    # All keys of the timetable: whether one will ever leave is not known before it does.
    keys = sorted(flights[key].unique())
    columns = pd.MultiIndex.from_product([["sum", "count"], keys], names=[None, key])
    wide = (
        flights.groupby([left.dt.ceil("h").rename("event_timestamp"), key])["dep_delay"]
        .agg(["sum", "count"])
        .unstack(key)
    )
    hourly = (
        pd.DataFrame(wide, columns=columns)
        .fillna(0)
        .asfreq("h", fill_value=0)
        .rolling(hours, min_periods=1)
        .sum()
        .stack(key, future_stack=True)
    )
    departures = hourly["count"].round()
    mean = (hourly["sum"] / departures).where(departures > 0)
    waiting = _waiting(flights, left, key, hours).reindex(hourly.index, fill_value=0)
    return pd.DataFrame({f"{key}_delay": mean, f"{key}_waiting": waiting}).reset_index()


def _waiting(flights: pd.DataFrame, left: pd.Series, key: str, hours: int) -> pd.Series:
    """Count what should have left in the last `hours` and has not; the cancelled wait too."""
    scheduled = flights["event_timestamp"].dt.floor("h")
    parts = []
    for passed in range(1, hours + 1):
        now = (scheduled + passed * HOUR).rename("event_timestamp")
        parts.append(pd.concat([now, flights[key]], axis=1)[~(left <= now)])
    counts: pd.Series = pd.concat(parts).groupby(["event_timestamp", key]).size()
    return counts
