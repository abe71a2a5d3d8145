"""Feast's online store: what is known of a request's entities now."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from .. import projections, store
from ..feast_api import ValueType, from_feast_to_pyarrow_type, from_value_type
from ..projections import OnDemand, Projection

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
    """The features of the service `model`, by the definitions of this checkout.

    They are found as the join finds them: by each view's own key columns, and missing where older
    than the view's `ttl`; on-demand views are computed from what is left.
    """

    noted: Callable[[str, float], object] | None = None
    """Gets each feature's name and the age in seconds of the newest value that was found."""

    def __init__(self) -> None:
        """Read the definitions; only `read` asks the store itself."""
        with store.opened(online=True) as self._store:
            self._service = projections.of(self._store, store.service(self._store))
        self.ttl = {name: one.ttl for one in self._service.members for name in one.fields}
        """Feast's features, and how long each holds; None where for ever, or computed."""
        self.keys = {name: KINDS.get(kind, str) for name, kind in self._service.keys.items()}
        """The columns that rows need, and their types in JSON."""
        self.views = {name: one.name for one in self._service.members for name in one.fields}
        """The view that each feature is of."""
        self.sources = {
            name: {source for view in one.sources for source in view.fields}
            for one in self._service.on_demand
            for name in one.fields
        }
        """What each computed feature is computed from."""
        together = defaultdict(list)
        for one in self._service.lookups:
            # Feast takes a key that has two types in one look-up for one of them.
            types = tuple(sorted((key.name, str(key.dtype)) for key in one.view.entity_columns))
            together[tuple(sorted(one.keys.items())), types].append(one)
        self._lookups = [(dict(keys), views) for (keys, _), views in together.items()]

    def read(self, rows: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, list[Any]]:
        """Return one list per feature, one value per row; None where nothing is known, or stale."""
        found: dict[str, list[Any]] = {}
        for keys, views in self._lookups:
            found |= self._looked_up(keys, views, rows, now)
        for view in self._service.on_demand:
            found |= self._computed(view, rows, found)
        return {name: found[name] for name in self.ttl}

    def _looked_up(
        self,
        keys: Mapping[str, str],
        views: Sequence[Projection],
        rows: Sequence[Mapping[str, Any]],
        now: datetime,
    ) -> dict[str, list[Any]]:
        """Look up views that have the same keys; a row that lacks one of them finds nothing."""
        found: dict[str, list[Any]] = {
            name: [None] * len(rows) for one in views for name in one.fields
        }
        places = [n for n, row in enumerate(rows) if None not in map(row.get, keys.values())]
        if not places:
            return found
        wanted = [f"{one.view.name}:{field.name}" for one in views for field in one.fields.values()]
        answer = self._store.get_online_features(
            [*dict.fromkeys(wanted)],
            # Feast counts the rows by them, also where a view has no key.
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
                        found[name][place] = value
        return found

    def _key(self, column: str, value: Any) -> Any:
        """A whole number that the model takes as a fraction is a key as a whole number."""
        return int(value) if self.keys[column] is int else value

    def _computed(
        self, one: OnDemand, rows: Sequence[Mapping[str, Any]], found: Mapping[str, Sequence[Any]]
    ) -> dict[str, list[Any]]:
        """Compute an on-demand view by the same call as the join does."""
        inputs = {
            name: pa.array(found[name], from_feast_to_pyarrow_type(field.dtype))
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
