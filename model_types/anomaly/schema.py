"""Schemas at each boundary: raw tables, the model's inputs, examples and predictions."""

from typing import Annotated, Any

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

UTC = Annotated[pd.DatetimeTZDtype, "ns", "UTC"]
AIRPORT = r"^[A-Z]{3}$"
CARRIER = r"^[A-Z0-9]{2}$"
ORIGINS = ["EWR", "JFK", "LGA"]


class Flights(pa.DataFrameModel):
    """A scheduled flight and, if it departed, its delay in minutes."""

    event_timestamp: Series[UTC] = pa.Field(description="scheduled departure")
    origin: Series[str] = pa.Field(isin=ORIGINS)
    carrier: Series[str] = pa.Field(str_matches=CARRIER)
    flight: Series[int] = pa.Field(ge=1)
    dep_delay: Series[float] = pa.Field(ge=-180, le=2_880, nullable=True)


class Storms(pa.DataFrameModel):
    """A day (in New York's time zone) with a known storm or disruption."""

    day: Series[str] = pa.Field(str_matches=r"^\d{4}-\d\d-\d\d$", unique=True)
    event: Series[str] = pa.Field(str_length={"min_value": 1})


class Features(pa.DataFrameModel):
    """The model's inputs, from the timetable and from Feast (missing if nothing was known)."""

    origin: Series[str] = pa.Field(str_matches=AIRPORT)
    hour: Series[int] = pa.Field(ge=0, le=23)
    weekday: Series[int] = pa.Field(ge=0, le=6)
    scheduled: Series[int] = pa.Field(ge=0, description="departures scheduled in the hour")
    cancelled_share: Series[float] = pa.Field(ge=0, le=1, nullable=True)
    departure_delay: Series[float] = pa.Field(nullable=True, description="mean, minutes")
    waiting: Series[float] = pa.Field(ge=0, nullable=True, description="flights due, not departed")

    class Config:
        """Coerce types: a join turns integers into floats where a row is missing."""

        coerce = True


class Examples(Features):
    """The inputs, the end of the hour, and whether there was a known storm on its day.

    The label is for evaluation only; training does not read it.
    """

    event_timestamp: Series[UTC]
    storm: Series[bool]


class Predictions(pa.DataFrameModel):
    """Distance of the hour from what was expected, and whether it is worth an alert."""

    score: Series[float] = pa.Field(description="sum over the measures, in standard deviations")
    alert: Series[bool]


RAW: dict[str, type[pa.DataFrameModel]] = {"flights": Flights, "storms": Storms}

# An example request: what the caller knows. Feast supplies the rest.
EXAMPLE: dict[str, Any] = {"origin": "JFK", "hour": 17, "weekday": 4, "scheduled": 22}
