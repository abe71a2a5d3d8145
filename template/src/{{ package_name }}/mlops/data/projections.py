"""The features that the service `model` takes from each view, and the key columns to find them by.

Feast's join reads the service itself; online lookups and checks use this module.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..errors import Problem
from .feast_api import (
    DUMMY_ENTITY_ID,
    FeatureService,
    FeatureStore,
    FeatureView,
    FeatureViewProjection,
    Field,
    OnDemandFeatureView,
    ValueType,
)


@dataclass(frozen=True)
class Projection:
    """A feature view in the service."""

    view: FeatureView
    name: str
    """The view's name in the service: its alias, if it has one."""
    keys: Mapping[str, str]
    """Columns of the rows by join key; empty if the view has one row for all entities."""
    fields: Mapping[str, Field]
    """The view's features, by their names after the join."""

    @property
    def ttl(self) -> timedelta | None:
        """How long a row of the view is valid; None if forever."""
        return self.view.ttl or None


@dataclass(frozen=True)
class OnDemand:
    """An on-demand feature view in the service."""

    view: OnDemandFeatureView
    name: str
    sources: tuple[Projection, ...]
    fields: Mapping[str, Field]
    """The view's features, by their names after the join."""
    ttl = None
    """None: computed features are as old as their sources, and may be valid without them."""

    @property
    def requested(self) -> dict[str, ValueType]:
        """Columns of the rows that the view computes with, and their types."""
        return dict(self.view.get_request_data_schema())


@dataclass(frozen=True)
class Service:
    """The views of the feature service `model`."""

    full_names: bool
    """True if two features have the same name, so that Feast must prefix view names."""
    views: list[Projection] = field(default_factory=list)
    on_demand: list[OnDemand] = field(default_factory=list)

    @property
    def members(self) -> list[Projection | OnDemand]:
        """The views of both kinds."""
        return [*self.views, *self.on_demand]

    @property
    def lookups(self) -> list[Projection]:
        """Views to read: those of the service, and the sources of its on-demand views."""
        return [*self.views, *(source for view in self.on_demand for source in view.sources)]

    @property
    def keys(self) -> dict[str, ValueType]:
        """Columns that rows need to find or compute the features, and their types."""
        types = {
            lookup.keys[column.name]: column.dtype.to_value_type()
            for lookup in self.lookups
            for column in lookup.view.entity_columns
            if column.name in lookup.keys
        }
        return types | {
            name: kind for view in self.on_demand for name, kind in view.requested.items()
        }

    def joined(self, view: str, feature: str) -> str:
        """Return the name of a feature in the result of Feast's join."""
        return f"{view}__{feature}" if self.full_names else feature


def resolve(store: FeatureStore, service: FeatureService) -> Service:
    """Return the views of a service; the definitions must be applied to the store.

    If features of several views have the same name, each is called `<view>__<feature>`.

    Raises:
        Problem: the service takes two views under the same name.
    """
    views: dict[str, Any] = {view.name: view for view in store.list_all_feature_views()}
    used = {each.name_to_use(): each for each in service.feature_view_projections}
    if len(used) < len(service.feature_view_projections):
        names = Counter(each.name_to_use() for each in service.feature_view_projections)
        raise Problem(
            f"feature_repo/: the service {service.name!r} takes {names.most_common(1)[0][0]} twice:"
            " give one of them another name, with .with_name(…)"
        )
    counts = Counter(feature.name for each in used.values() for feature in each.features)
    result = Service(full_names=max(counts.values(), default=1) > 1)
    for name, projection in used.items():
        view = views[projection.name]
        fields = {
            feature.name if counts[feature.name] == 1 else f"{name}__{feature.name}": feature
            for feature in projection.features
        }
        if not isinstance(view, OnDemandFeatureView):
            result.views.append(Projection(view, name, _keys(view, projection), fields))
            continue
        sources = []
        for source in view.source_feature_view_projections.values():
            alias = source.name_to_use()
            # Feast joins two projections with the same name by the keys of the first.
            first = used.get(alias, source)
            inputs = {result.joined(alias, feature.name): feature for feature in source.features}
            source_view = views[source.name]
            sources.append(Projection(source_view, alias, _keys(source_view, first), inputs))
        result.on_demand.append(OnDemand(view, name, tuple(sources), fields))
    return result


def _keys(view: FeatureView, projection: FeatureViewProjection) -> dict[str, str]:
    keys = [key for key in view.join_keys if key != DUMMY_ENTITY_ID]
    return {key: projection.join_key_map.get(key, key) for key in keys}
