"""Hourly measures of an airport's departures, as known at the end of each hour."""

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
    return {"operations": _operations(raw["flights"], params.window_hours)}


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per airport and hour with scheduled flights, at the end of the hour."""
    flights = raw["flights"]
    hours = flights.groupby([_end_of_hour(flights["event_timestamp"]), "origin"]).size()
    table = hours.rename("scheduled").reset_index()
    local = local_hour(table)
    return table.assign(hour=local.dt.hour, weekday=local.dt.weekday)


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return the requests with the label: whether there was a storm on that day."""
    rows = requests(raw, params)
    local = local_hour(rows)
    return rows.assign(storm=local.dt.date.astype(str).isin(raw["storms"]["day"]))


def local_hour(examples: pd.DataFrame) -> pd.Series:
    """Return the start of each example's hour in New York's time zone."""
    return (examples["event_timestamp"] - HOUR).dt.tz_convert("America/New_York")


def _end_of_hour(times: pd.Series) -> pd.Series:
    ends: pd.Series = times.dt.floor("h") + HOUR
    return ends.rename("event_timestamp")


def _operations(flights: pd.DataFrame, hours: int) -> pd.DataFrame:
    """Return the measures of the last `hours`, one row per airport and hour.

    The measures are the cancelled share, the mean delay, and the number of flights that are due but
    have not left. The data does not say when a flight was cancelled, so a cancellation counts as
    known in the hour of the scheduled departure. A delay is known once the flight has left.
    """
    due, flown = flights["event_timestamp"], flights["dep_delay"].notna()
    left = due[flown] + pd.to_timedelta(flights["dep_delay"][flown], unit="min")
    ended = _end_of_hour(due)
    span = pd.date_range(ended.min(), ended.max(), freq="h", name="event_timestamp")
    airports = pd.Index(sorted(flights["origin"].unique()), name="origin")

    def hourly(times: pd.Series, values: pd.Series) -> pd.DataFrame:
        keys = [_end_of_hour(times), flights["origin"].loc[times.index]]
        sums = values.groupby(keys).sum().unstack()
        return sums.reindex(index=span, columns=airports).fillna(0)

    one = pd.Series(1, flights.index)
    scheduled, cancelled = hourly(due, one), hourly(due, (~flown).astype(int))
    departed, delay = hourly(left, one[flown]), hourly(left, flights["dep_delay"][flown])
    # A flight that leaves early never waits.
    gone = hourly(left.clip(lower=due[flown]), one[flown])

    def recent(table: pd.DataFrame) -> pd.DataFrame:
        return table.rolling(hours, min_periods=1).sum()

    columns = {
        "cancelled_share": recent(cancelled) / recent(scheduled),
        "departure_delay": recent(delay) / recent(departed),
        "waiting": (scheduled - cancelled - gone).cumsum().astype("int64"),
    }
    stacked = {name: table.stack(future_stack=True) for name, table in columns.items()}
    return pd.DataFrame(stacked).reset_index()
