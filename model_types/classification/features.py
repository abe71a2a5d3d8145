"""Point-in-time features: recent delays, the weather and the timetable."""

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
    """Return one table per Feast source; a row holds what was known at its `event_timestamp`."""
    flights, hours = raw["flights"], params.window_hours
    return {
        "origin_delays": _recent_delays(flights, "origin", hours),
        "carrier_delays": _recent_delays(flights, "carrier", hours),
        # The weather of an hour is published when the hour is over.
        "weather": raw["weather"].assign(event_timestamp=raw["weather"]["event_timestamp"] + HOUR),
    }


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per flight, at its scheduled departure."""
    flights = raw["flights"]
    local = flights["event_timestamp"].dt.tz_convert("America/New_York")
    return flights[["event_timestamp", "origin", "dest", "carrier", "distance"]].assign(
        hour=local.dt.hour, weekday=local.dt.weekday
    )


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return the requests of the flights that arrived, with the label: whether they were late."""
    flights = raw["flights"].dropna(subset="arr_delay")
    rows = requests({"flights": flights}, params)
    return rows.assign(late=flights["arr_delay"] > params.late_minutes)


def _recent_delays(flights: pd.DataFrame, key: str, hours: int) -> pd.DataFrame:
    """Return departures and mean delay of the last `hours`, one row per `key` and full hour.

    A delay is known at the actual departure, not at the scheduled one.
    """
    left = flights.dropna(subset="dep_delay")
    departed = left["event_timestamp"] + pd.to_timedelta(left["dep_delay"], unit="min")
    hourly = (
        left.groupby([departed.dt.ceil("h").rename("event_timestamp"), key])["dep_delay"]
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
