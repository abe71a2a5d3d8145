"""Feast definitions; the feature service `model` lists the features that the model uses."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float64, Int64
from feast.value_type import ValueType

origin = Entity(name="origin", value_type=ValueType.STRING, description="airport, IATA code")
carrier = Entity(name="carrier", value_type=ValueType.STRING, description="airline, IATA code")

origin_delays = FeatureView(
    name="origin_delays",
    description="departures from the airport in the last hours, and their mean delay (minutes)",
    entities=[origin],
    ttl=timedelta(hours=1),
    schema=[
        Field(name="origin_departures", dtype=Int64),
        Field(name="origin_delay", dtype=Float64),
    ],
    source=FileSource(
        name="origin_delays",
        path="../data/features/origin_delays.parquet",
        timestamp_field="event_timestamp",
    ),
)

carrier_delays = FeatureView(
    name="carrier_delays",
    description="departures of the airline in the last hours, and their mean delay (minutes)",
    entities=[carrier],
    ttl=timedelta(hours=1),
    schema=[
        Field(name="carrier_departures", dtype=Int64),
        Field(name="carrier_delay", dtype=Float64),
    ],
    source=FileSource(
        name="carrier_delays",
        path="../data/features/carrier_delays.parquet",
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

model = FeatureService(name="model", features=[origin_delays, carrier_delays, weather])
