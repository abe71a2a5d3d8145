"""Schemas at each boundary: raw tables, the model's inputs, examples and predictions."""

from typing import Annotated, Any

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

UTC = Annotated[pd.DatetimeTZDtype, "ns", "UTC"]
CARRIER = r"^[A-Z0-9]{2}$"
ORIGINS = ["EWR", "JFK", "LGA"]


class Flights(pa.DataFrameModel):
    """A scheduled flight and, if it departed, its delay in minutes."""

    event_timestamp: Series[UTC] = pa.Field(description="scheduled departure")
    origin: Series[str] = pa.Field(isin=ORIGINS)
    carrier: Series[str] = pa.Field(str_matches=CARRIER)
    flight: Series[int] = pa.Field(ge=1)
    dep_delay: Series[float] = pa.Field(ge=-180, le=2_880, nullable=True)


class Weather(pa.DataFrameModel):
    """Hourly weather at an airport."""

    event_timestamp: Series[UTC]
    origin: Series[str] = pa.Field(isin=ORIGINS)
    temp: Series[float] = pa.Field(ge=-60, le=130, nullable=True, description="°F")
    wind_speed: Series[float] = pa.Field(ge=0, nullable=True, description="mph")
    precip: Series[float] = pa.Field(ge=0, nullable=True, description="inches in the hour")
    visib: Series[float] = pa.Field(ge=0, nullable=True, description="miles")


class Features(pa.DataFrameModel):
    """The model's inputs, of the target hour and from Feast (missing if nothing was known)."""

    origin: Series[str] = pa.Field(str_matches=r"^[A-Z]{3}$")
    horizon: Series[int] = pa.Field(ge=1, le=24, description="hours until the target hour ends")
    hour: Series[int] = pa.Field(ge=0, le=23, description="start of the target hour, local time")
    weekday: Series[int] = pa.Field(ge=0, le=6)
    holiday: Series[bool]
    scheduled: Series[int] = pa.Field(ge=0, description="departures, in the target hour")
    scheduled_before: Series[int] = pa.Field(ge=0, description="departures, in the hour before")
    last_week: Series[float] = pa.Field(ge=0, nullable=True, description="departures, same hour")
    yesterday: Series[float] = pa.Field(ge=0, nullable=True, description="departures, same hour")
    departed_1h: Series[float] = pa.Field(ge=0, nullable=True)
    departed_24h: Series[float] = pa.Field(ge=0, nullable=True)
    waiting: Series[float] = pa.Field(ge=0, nullable=True)
    mean_delay: Series[float] = pa.Field(nullable=True, description="minutes")
    temp: Series[float] = pa.Field(nullable=True)
    wind_speed: Series[float] = pa.Field(nullable=True)
    precip: Series[float] = pa.Field(nullable=True)
    visib: Series[float] = pa.Field(nullable=True)

    class Config:
        """Coerce types: a join turns integers into floats where a row is missing."""

        coerce = True


class Examples(Features):
    """The inputs, the time of the forecast, and the label: how many flights left."""

    event_timestamp: Series[UTC]
    departures: Series[int] = pa.Field(ge=0)


class Predictions(pa.DataFrameModel):
    """Number of flights that leave in the target hour."""

    departures: Series[float] = pa.Field(ge=0)


RAW: dict[str, type[pa.DataFrameModel]] = {"flights": Flights, "weather": Weather}

# An example request: what the caller knows. Feast supplies the rest.
EXAMPLE: dict[str, Any] = {
    "origin": "JFK",
    "horizon": 3,
    "hour": 17,
    "weekday": 4,
    "holiday": False,
    "scheduled": 21,
    "scheduled_before": 24,
}
