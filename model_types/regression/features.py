"""Point-in-time features: recent delays, waiting flights, the weather and the timetable."""

from collections.abc import Mapping

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

HOUR = pd.Timedelta(hours=1)


class Params(BaseModel):
    """The section `features` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    window_hours: int = Field(ge=1, le=48)


def build(raw: Mapping[str, pd.DataFrame], params: Params) -> dict[str, pd.DataFrame]:
    """Return one table per Feast source; a row holds what was known at its `event_timestamp`."""
    flights, hours = raw["flights"], params.window_hours
    return {
        "origin_delays": _recent_delays(flights, "origin", hours),
        "carrier_delays": _recent_delays(flights, "carrier", hours),
        # Air traffic control holds flights at their origin when the destination is congested.
        "dest_delays": _recent_delays(flights, "dest", hours),
        # The weather of an hour is published when the hour is over.
        "weather": raw["weather"].assign(event_timestamp=raw["weather"]["event_timestamp"] + HOUR),
    }


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per flight, at its scheduled departure."""
    flights = raw["flights"]
    local = flights["event_timestamp"].dt.tz_convert("America/New_York")
    columns = ["event_timestamp", "origin", "dest", "carrier", "distance", "scheduled_minutes"]
    return flights[columns].assign(
        minute_of_day=local.dt.hour * 60 + local.dt.minute,
        weekday=local.dt.weekday,
    )


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return the requests of the flights that arrived, with the label: how late they were.

    A cancelled or diverted flight has no delay at arrival and gives no example.
    """
    flights = raw["flights"].dropna(subset="arr_delay")
    rows = requests({"flights": flights}, params)
    return rows.assign(arr_delay=flights["arr_delay"])


def _recent_delays(flights: pd.DataFrame, key: str, hours: int) -> pd.DataFrame:
    """Return mean delay and waiting flights of the last `hours`, one row per `key` and full hour.

    During a storm, the mean delay of the flights that left understates the disruption; the number
    of flights still waiting shows it. Both use the actual departure times.
    """
    delays = pd.to_timedelta(flights["dep_delay"].dropna(), unit="min")
    left = flights["event_timestamp"] + delays.reindex(flights.index)
    # All keys in the timetable, since it is not known in advance which of them will depart.
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
    """Count flights due in the last `hours` that have not left, cancelled ones included."""
    scheduled = flights["event_timestamp"].dt.floor("h")
    parts = []
    for passed in range(1, hours + 1):
        now = (scheduled + passed * HOUR).rename("event_timestamp")
        parts.append(pd.concat([now, flights[key]], axis=1)[~(left <= now)])
    counts: pd.Series = pd.concat(parts).groupby(["event_timestamp", key]).size()
    return counts
