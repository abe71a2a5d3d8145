"""Feast definitions; the feature service `model` lists the features that the model uses."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Int64
from feast.value_type import ValueType

client = Entity(name="client", value_type=ValueType.STRING, description="address of the client")

client_activity = FeatureView(
    name="client_activity",
    description="requests and errors of the client in the hour before its last answer",
    entities=[client],
    ttl=timedelta(hours=1),
    schema=[
        Field(name="client_requests", dtype=Int64),
        Field(name="client_errors", dtype=Int64),
    ],
    source=FileSource(
        name="client_activity",
        path="../data/features/client_activity.parquet",
        timestamp_field="event_timestamp",
    ),
)

model = FeatureService(name="model", features=[client_activity])
