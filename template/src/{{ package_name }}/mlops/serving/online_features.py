"""Feast's online store: the current features of a request's entities."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from ..data import feature_store, projections
from ..data.feast_api import ValueType, from_feast_to_pyarrow_type, from_value_type
from ..data.projections import OnDemand, Projection

KINDS: dict[ValueType, type] = {
    ValueType.INT32: int,
    ValueType.INT64: int,
    ValueType.FLOAT: float,
    ValueType.DOUBLE: float,
    ValueType.BOOL: bool,
    ValueType.UNIX_TIMESTAMP: datetime,
}
"""JSON types of entity keys and of an on-demand view's inputs; all others are text."""
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class Online:
    """The features of the feature service `model`, by the definitions of this checkout.

    They are looked up as in the join: by the key columns of each view, and missing if older than
    the view's `ttl`. On-demand views are computed from the results.
    """

    noted: Callable[[str, float], object] | None = None
    """Called with each feature's name and the age in seconds of its newest value."""

    def __init__(self) -> None:
        """Read the definitions; only `read` accesses the store itself."""
        with feature_store.opened(online=True) as self._store:
            self._service = projections.resolve(self._store, feature_store.service(self._store))
        self.ttl = {name: one.ttl for one in self._service.members for name in one.fields}
        """How long each feature is valid; None if there is no limit, or if it is computed."""
        self.keys = {name: KINDS.get(kind, str) for name, kind in self._service.keys.items()}
        """The key columns that rows need, and their types in JSON."""
        self.views = {name: one.name for one in self._service.members for name in one.fields}
        """The view of each feature."""
        self.sources = {
            name: {source for view in one.sources for source in view.fields}
            for one in self._service.on_demand
            for name in one.fields
        }
        """The features from which each computed feature is computed."""
        groups = defaultdict(list)
        for one in self._service.lookups:
            # In one look-up, Feast reads a key of two types as one of them.
            types = tuple(sorted((key.name, str(key.dtype)) for key in one.view.entity_columns))
            groups[tuple(sorted(one.keys.items())), types].append(one)
        self._lookups = [(dict(keys), views) for (keys, _), views in groups.items()]

    def read(self, rows: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, list[Any]]:
        """Return one list per feature, with one value per row; None if missing or stale."""
        features: dict[str, list[Any]] = {}
        for keys, views in self._lookups:
            features |= self._looked_up(keys, views, rows, now)
        for view in self._service.on_demand:
            features |= self._computed(view, rows, features)
        return {name: features[name] for name in self.ttl}

    def _looked_up(
        self,
        keys: Mapping[str, str],
        views: Sequence[Projection],
        rows: Sequence[Mapping[str, Any]],
        now: datetime,
    ) -> dict[str, list[Any]]:
        """Look up views with the same keys; a row that lacks a key gets None."""
        features: dict[str, list[Any]] = {
            name: [None] * len(rows) for one in views for name in one.fields
        }
        places = [n for n, row in enumerate(rows) if None not in map(row.get, keys.values())]
        if not places:
            return features
        references = [
            f"{one.view.name}:{field.name}" for one in views for field in one.fields.values()
        ]
        answer = self._store.get_online_features(
            [*dict.fromkeys(references)],
            # Feast counts rows by their keys, even if a view has none.
            [
                {key: self._key(column, rows[n][column]) for key, column in keys.items()} or {"": n}
                for n in places
            ],
            full_feature_names=True,
        )
        values, names = answer.to_dict(), answer.proto.metadata.feature_names.val
        vectors = dict(zip(names, answer.proto.results, strict=True))
        for one in views:
            oldest = (now - one.ttl - EPOCH) // MICROSECOND if one.ttl else 0
            for name, field in one.fields.items():
                full = f"{one.view.name}__{field.name}"
                times = [time.ToMicroseconds() for time in vectors[full].event_timestamps]
                if self.noted and (newest := max(times)):
                    self.noted(name, now.timestamp() - newest / 1e6)
                for place, time, value in zip(places, times, values[full], strict=True):
                    if time and time >= oldest:
                        features[name][place] = value
        return features

    def _key(self, column: str, value: Any) -> Any:
        """Return an integer key as an int, also if the model takes it as a float."""
        return int(value) if self.keys[column] is int else value

    def _computed(
        self,
        one: OnDemand,
        rows: Sequence[Mapping[str, Any]],
        features: Mapping[str, Sequence[Any]],
    ) -> dict[str, list[Any]]:
        """Compute an on-demand view by the same call as the join."""
        inputs = {
            name: pa.array(features[name], from_feast_to_pyarrow_type(field.dtype))
            for source in one.sources
            for name, field in source.fields.items()
        }
        needed = {column for source in one.sources for column in source.keys.values()}
        for name in needed | {*one.requested}:
            kind = from_feast_to_pyarrow_type(from_value_type(self._service.keys[name]))
            inputs[name] = pa.array([row.get(name) for row in rows], kind)
        table = one.view.transform_arrow(pa.table(inputs), self._service.full_names)
        return {
            name: table[self._service.joined(one.name, field.name)].to_pylist()
            for name, field in one.fields.items()
        }
