"""Feast's online store: what is known of a request's entities now."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .. import store
from . import metrics

KINDS: dict[str, type] = {"STRING": str, "INT32": int, "INT64": int}


class Online:
    """The features of the service `model`, by the definitions of this checkout."""

    def __init__(self) -> None:
        """Read the definitions; the store itself is asked by `read` alone."""
        with store.opened(online=True) as self._store:
            self._service = store.service(self._store)
            views = {view.name: view for view in self._store.list_feature_views()}
            entities = {entity.name: entity for entity in self._store.list_entities()}
        projections = self._service.feature_view_projections
        used = [views[one.name] for one in projections if one.name in views]
        self.ttl = {
            field.name: views[one.name].ttl if one.name in views else None
            for one in projections
            for field in one.features
        }
        """Feast's features, and how long each holds; None is for ever."""
        self.keys = {
            entities[name].join_key: KINDS.get(entities[name].value_type.name, str)
            for view in used
            for name in view.entities
            if name in entities
        }
        """What they are found by, and its type in JSON."""

    def read(self, rows: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, list[Any]]:
        """Give a list a feature, a value a row; None where nothing is known, or it is too old.

        Too old is what it is in training too: older than the view's `ttl`.
        """
        entities = [{key: row[key] for key in self.keys} for row in rows]
        answer = self._store.get_online_features(self._service, entities)
        found = answer.to_dict(include_event_timestamps=True)
        return {name: self._fresh(found, name, now) for name in self.ttl}

    def _fresh(self, found: Mapping[str, Any], name: str, now: datetime) -> list[Any]:
        ttl, times = self.ttl[name], found[f"{name}__ts"]
        if newest := max(times):
            metrics.FEATURE_AGE.labels(name).set(now.timestamp() - newest)
        if not ttl:
            return list(found[name])
        oldest = (now - ttl).timestamp()
        return [
            value if when and when >= oldest else None
            for value, when in zip(found[name], times, strict=True)
        ]
