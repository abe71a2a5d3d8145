"""Feast definitions; the feature service `model` lists the features that the model uses."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float64, Int64
from feast.value_type import ValueType

origin = Entity(name="origin", value_type=ValueType.STRING, description="airport, IATA code")

operations = FeatureView(
    name="operations",
    description="measures of the airport's departures, as known at the end of the hour",
    entities=[origin],
    ttl=timedelta(hours=1),
    schema=[
        Field(name="cancelled_share", dtype=Float64),
        Field(name="departure_delay", dtype=Float64),
        Field(name="waiting", dtype=Int64),
    ],
    source=FileSource(
        name="operations",
        path="../data/features/operations.parquet",
        timestamp_field="event_timestamp",
    ),
)

model = FeatureService(name="model", features=[operations])
