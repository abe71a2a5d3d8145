"""Feast definitions: one feature view, with the types of the case."""

from datetime import timedelta
from importlib import import_module
from importlib.metadata import entry_points

from feast import Entity, FeatureService, FeatureView, Field, FileSource, types
from feast.value_type import ValueType

PACKAGE = next(iter(entry_points(group="console_scripts", name="mlops"))).value.split(".")[0]
case = import_module(f"{PACKAGE}.case").CURRENT

shop = Entity(name="shop", value_type=ValueType[case.key_type])

known = FeatureView(
    name="known",
    entities=[shop],
    ttl=timedelta(days=2),
    schema=[Field(name=name, dtype=getattr(types, dtype)) for name, dtype in case.served.items()],
    source=FileSource(
        name="known", path="../data/features/known.parquet", timestamp_field="event_timestamp"
    ),
)

model = FeatureService(name="model", features=[known])
