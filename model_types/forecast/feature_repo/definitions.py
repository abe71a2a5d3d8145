"""Feast definitions; the feature service `model` lists the features that the model uses."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float64, Int64
from feast.value_type import ValueType

origin = Entity(name="origin", value_type=ValueType.STRING, description="airport, IATA code")
hour = Entity(name="hour", value_type=ValueType.INT64, description="hour of the day, local time")
weekday = Entity(name="weekday", value_type=ValueType.INT64, description="weekday, 0 is Monday")

airport = FeatureView(
    name="airport",
    description="departures in the last hours, their mean delay (minutes), and flights overdue",
    entities=[origin],
    ttl=timedelta(hours=1),
    schema=[
        Field(name="departed_1h", dtype=Int64),
        Field(name="departed_24h", dtype=Float64),
        Field(name="waiting", dtype=Int64),
        Field(name="mean_delay", dtype=Float64),
    ],
    source=FileSource(
        name="airport",
        path="../data/features/airport.parquet",
        timestamp_field="event_timestamp",
    ),
)

same_hour = FeatureView(
    name="same_hour",
    description="departures in the same hour of the previous day",
    entities=[origin, hour],
    ttl=timedelta(days=2),
    schema=[Field(name="yesterday", dtype=Int64)],
    source=FileSource(
        name="same_hour",
        path="../data/features/same_hour.parquet",
        timestamp_field="event_timestamp",
    ),
)

same_hour_of_week = FeatureView(
    name="same_hour_of_week",
    description="departures in the same hour of the previous week",
    entities=[origin, weekday, hour],
    ttl=timedelta(days=8),
    schema=[Field(name="last_week", dtype=Int64)],
    source=FileSource(
        name="same_hour_of_week",
        path="../data/features/same_hour_of_week.parquet",
        timestamp_field="event_timestamp",
    ),
)

weather = FeatureView(
    name="weather",
    description="latest published weather at the airport",
    entities=[origin],
    ttl=timedelta(hours=2),
    schema=[
        Field(name="temp", dtype=Float64),
        Field(name="wind_speed", dtype=Float64),
        Field(name="precip", dtype=Float64),
        Field(name="visib", dtype=Float64),
    ],
    source=FileSource(
        name="weather",
        path="../data/features/weather.parquet",
        timestamp_field="event_timestamp",
    ),
)

model = FeatureService(name="model", features=[airport, same_hour, same_hour_of_week, weather])
