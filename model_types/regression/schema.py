"""Schemas at each boundary: raw tables, the model's inputs, examples and predictions."""

from typing import Annotated

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

UTC = Annotated[pd.DatetimeTZDtype, "ns", "UTC"]
AIRPORT = r"^[A-Z]{3}$"
CARRIER = r"^[A-Z0-9]{2}$"
ORIGINS = ["EWR", "JFK", "LGA"]


class Flights(pa.DataFrameModel):
    """A scheduled flight and, if it departed and arrived, its delays in minutes."""

    event_timestamp: Series[UTC] = pa.Field(description="scheduled departure")
    origin: Series[str] = pa.Field(isin=ORIGINS)
    dest: Series[str] = pa.Field(str_matches=AIRPORT)
    carrier: Series[str] = pa.Field(str_matches=CARRIER)
    flight: Series[int] = pa.Field(ge=1)
    distance: Series[int] = pa.Field(ge=1, le=20_000, description="miles")
    scheduled_minutes: Series[int] = pa.Field(ge=1, lt=1_440, description="gate to gate, scheduled")
    dep_delay: Series[float] = pa.Field(ge=-180, le=2_880, nullable=True)
    arr_delay: Series[float] = pa.Field(ge=-180, le=2_880, nullable=True)


class Weather(pa.DataFrameModel):
    """Hourly weather at an origin."""

    event_timestamp: Series[UTC]
    origin: Series[str] = pa.Field(isin=ORIGINS)
    temp: Series[float] = pa.Field(ge=-60, le=130, nullable=True, description="°F")
    wind_speed: Series[float] = pa.Field(ge=0, nullable=True, description="mph")
    precip: Series[float] = pa.Field(ge=0, nullable=True, description="inches in the hour")
    visib: Series[float] = pa.Field(ge=0, nullable=True, description="miles")


class Features(pa.DataFrameModel):
    """The model's inputs, from the timetable and from Feast (missing if nothing was known)."""

    origin: Series[str] = pa.Field(str_matches=AIRPORT)
    dest: Series[str] = pa.Field(str_matches=AIRPORT)
    carrier: Series[str] = pa.Field(str_matches=CARRIER)
    distance: Series[int] = pa.Field(ge=1, le=20_000)
    scheduled_minutes: Series[int] = pa.Field(ge=1, lt=1_440)
    minute_of_day: Series[int] = pa.Field(ge=0, lt=1_440)
    weekday: Series[int] = pa.Field(ge=0, le=6)
    origin_delay: Series[float] = pa.Field(nullable=True)
    origin_waiting: Series[float] = pa.Field(ge=0, nullable=True)
    carrier_delay: Series[float] = pa.Field(nullable=True)
    carrier_waiting: Series[float] = pa.Field(ge=0, nullable=True)
    dest_delay: Series[float] = pa.Field(nullable=True)
    dest_waiting: Series[float] = pa.Field(ge=0, nullable=True)
    temp: Series[float] = pa.Field(nullable=True)
    wind_speed: Series[float] = pa.Field(nullable=True)
    precip: Series[float] = pa.Field(nullable=True)
    visib: Series[float] = pa.Field(nullable=True)

    class Config:
        """Coerce types: a join turns integers into floats where a row is missing."""

        coerce = True


class Examples(Features):
    """The inputs, the time of the request, and the label: minutes late at arrival."""

    event_timestamp: Series[UTC]
    arr_delay: Series[float] = pa.Field(ge=-180, le=2_880)


class Predictions(pa.DataFrameModel):
    """Minutes late at arrival: the median, and the bounds of an 80 % interval."""

    lower: Series[float]
    minutes: Series[float]
    upper: Series[float]

    @pa.dataframe_check
    @classmethod
    def in_order(cls, rows: pd.DataFrame) -> pd.Series:
        """Quantiles do not cross."""
        return (rows["lower"] <= rows["minutes"]) & (rows["minutes"] <= rows["upper"])


# Share of flights that arrive earlier than each prediction.
QUANTILES = {"lower": 0.1, "minutes": 0.5, "upper": 0.9}

RAW: dict[str, type[pa.DataFrameModel]] = {"flights": Flights, "weather": Weather}

# An example request: what the caller knows. Feast supplies the rest.
EXAMPLE = {
    "origin": "JFK",
    "dest": "LAX",
    "carrier": "B6",
    "distance": 2475,
    "scheduled_minutes": 378,
    "minute_of_day": 1_080,
    "weekday": 4,
}
