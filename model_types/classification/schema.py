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
    hour: Series[int] = pa.Field(ge=0, le=23)
    weekday: Series[int] = pa.Field(ge=0, le=6)
    origin_departures: Series[float] = pa.Field(ge=0, nullable=True)
    origin_delay: Series[float] = pa.Field(nullable=True)
    carrier_departures: Series[float] = pa.Field(ge=0, nullable=True)
    carrier_delay: Series[float] = pa.Field(nullable=True)
    temp: Series[float] = pa.Field(nullable=True)
    wind_speed: Series[float] = pa.Field(nullable=True)
    precip: Series[float] = pa.Field(nullable=True)
    visib: Series[float] = pa.Field(nullable=True)

    class Config:
        """Coerce types: a join turns integers into floats where a row is missing."""

        coerce = True


class Examples(Features):
    """The inputs, the time of the request, and the label."""

    event_timestamp: Series[UTC]
    late: Series[bool]


class Predictions(pa.DataFrameModel):
    """Probability that the flight arrives late."""

    probability: Series[float] = pa.Field(ge=0, le=1)


# An example request, shown on the API's page: what the caller knows. Feast supplies the rest.
EXAMPLE = {
    "origin": "JFK",
    "dest": "SFO",
    "carrier": "B6",
    "distance": 2586,
    "hour": 17,
    "weekday": 4,
}

RAW: dict[str, type[pa.DataFrameModel]] = {"flights": Flights, "weather": Weather}
