"""Point-in-time features: recent departures, the weather, the calendar and the timetable.

An hour is labeled by its end, when its count is known. A forecast made at `event_timestamp` with
horizon h is for the hour that ends h hours later.

The target is the number of flights that actually leave, after delays and cancellations. The
timetable of the next day is known, so the number of flights scheduled for the target hour is a
feature, and the timetable alone is a baseline that the model must beat.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.tseries.holiday import USFederalHolidayCalendar
from pydantic import BaseModel, ConfigDict, Field, field_validator

HOUR = pd.Timedelta(hours=1)
HORIZONS = range(1, 25)
LOCAL = "America/New_York"


class Params(BaseModel):
    """The section `features` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    window_hours: int = Field(ge=1, le=48)
    every_hours: int = Field(ge=1)
    """Interval between two forecast origins."""

    @field_validator("every_hours")
    @classmethod
    def _meets_every_hour(cls, value: int) -> int:
        if math.gcd(value, 24) != 1:
            raise ValueError(
                "must share no divisor with 24, such as 5: otherwise horizons miss hours of the day"
            )
        return value


def build(raw: Mapping[str, pd.DataFrame], params: Params) -> dict[str, pd.DataFrame]:
    """Return one table per Feast source; a row holds what was known at its `event_timestamp`.

    The seasonal tables are keyed by the hour of the day or of the week: for a future hour, the
    latest known row with its key is that of the day or of the week before.
    """
    departed = _long({"departures": _departed(raw["flights"])})
    hours = departed.assign(**_clock(departed["event_timestamp"]))
    keys = ["event_timestamp", "origin", "hour"]
    return {
        "airport": _airport(raw["flights"], params.window_hours),
        "same_hour": hours[keys].assign(yesterday=hours["departures"]),
        "same_hour_of_week": hours[[*keys, "weekday"]].assign(last_week=hours["departures"]),
        # The weather of an hour is published when the hour is over.
        "weather": raw["weather"].assign(event_timestamp=raw["weather"]["event_timestamp"] + HOUR),
    }


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per forecast: each hour, airport and horizon, from the second week on."""
    return _forecasts(raw["flights"], every_hours=1)


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return the forecasts made every `every_hours`, with the label: how many flights left."""
    rows, departed = _forecasts(raw["flights"], params.every_hours), _departed(raw["flights"])
    hour, airport = _places(departed, _target(rows), rows["origin"])
    return rows.assign(departures=departed.to_numpy()[hour, airport])


def _forecasts(flights: pd.DataFrame, every_hours: int) -> pd.DataFrame:
    """Return each airport and horizon at these origins, up to the end of the timetable."""
    scheduled = _scheduled(flights)
    ends, airports = scheduled.index, scheduled.columns
    rows: pd.DataFrame = pd.MultiIndex.from_product(
        [ends[7 * 24 :: every_hours], airports, HORIZONS],
        names=["event_timestamp", "origin", "horizon"],
    ).to_frame(index=False)
    rows = rows[_target(rows) <= ends[-1]].reset_index(drop=True)
    end = _target(rows)
    hour, airport = _places(scheduled, end, rows["origin"])
    day: pd.Series = (end - HOUR).dt.tz_convert(LOCAL).dt.tz_localize(None).dt.normalize()
    return rows.assign(
        **_clock(end),
        holiday=day.isin(USFederalHolidayCalendar().holidays(day.min(), day.max())),
        scheduled=scheduled.to_numpy()[hour, airport],
        scheduled_before=scheduled.to_numpy()[hour - 1, airport],
    )


def _target(rows: pd.DataFrame) -> pd.Series:
    return rows["event_timestamp"] + pd.to_timedelta(rows["horizon"], unit="h")


def _places(table: pd.DataFrame, ends: pd.Series, airports: pd.Series) -> tuple[Any, Any]:
    return table.index.get_indexer(pd.Index(ends)), table.columns.get_indexer(pd.Index(airports))


def _airport(flights: pd.DataFrame, hours: int) -> pd.DataFrame:
    """Return departures of the last hour and day, overdue flights, and mean delay in minutes."""
    departed = _departed(flights)
    delay = _hourly(flights, _left(flights), flights["dep_delay"])
    recent = departed.rolling(hours, min_periods=1).sum()
    columns = {
        "departed_1h": departed,
        "departed_24h": departed.rolling(24, min_periods=1).sum(),
        "waiting": _waiting(flights, hours),
        "mean_delay": delay.rolling(hours, min_periods=1).sum() / recent.where(recent > 0),
    }
    return _long(columns)


def _waiting(flights: pd.DataFrame, hours: int) -> pd.DataFrame:
    """Return the number of flights due in the last `hours` that have not left."""
    due = _end(flights["event_timestamp"])
    given_up = due + hours * HOUR
    gone = _end(_left(flights)).fillna(given_up).clip(lower=due, upper=given_up)
    return (_hourly(flights, due - HOUR) - _hourly(flights, gone - HOUR)).cumsum()


def _departed(flights: pd.DataFrame) -> pd.DataFrame:
    return _hourly(flights, _left(flights))


def _scheduled(flights: pd.DataFrame) -> pd.DataFrame:
    return _hourly(flights, flights["event_timestamp"])


def _left(flights: pd.DataFrame) -> pd.Series:
    delays = pd.to_timedelta(flights["dep_delay"].dropna(), unit="min")
    return flights["event_timestamp"] + delays.reindex(flights.index)


def _end(times: pd.Series) -> pd.Series:
    ends: pd.Series = times.dt.floor("h") + HOUR
    return ends


def _hourly(
    flights: pd.DataFrame, times: pd.Series, values: pd.Series | None = None
) -> pd.DataFrame:
    """Return the count of `times` in each hour, or the sum of their values, by airport."""
    scheduled = _end(flights["event_timestamp"])
    ends = pd.date_range(scheduled.min(), scheduled.max(), freq="h", name="event_timestamp")
    times = times.dropna()
    addends = pd.Series(1, index=times.index) if values is None else values[times.index]
    table = addends.groupby([_end(times), flights.loc[times.index, "origin"]]).sum().unstack()
    return table.reindex(ends).fillna(0).astype(addends.dtype)


def _long(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per hour and airport, with one column per table."""
    columns = {name: table.stack(future_stack=True) for name, table in tables.items()}
    return pd.DataFrame(columns).reset_index()


def _clock(ends: pd.Series) -> dict[str, pd.Series]:
    begins = (ends - HOUR).dt.tz_convert(LOCAL).dt
    return {"hour": begins.hour.astype("int64"), "weekday": begins.weekday.astype("int64")}
