"""What the feature service `model` takes of each view, and by which columns it is found.

The join follows the service by itself; the online look-up and the checks follow what stands here.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .errors import Problem
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
    """A feature view as the service takes it."""

    view: FeatureView
    name: str
    """The view's name in the service: its alias where it has one."""
    keys: Mapping[str, str]
    """Column of the rows by join key of the view; empty where the view has one row for all."""
    fields: Mapping[str, Field]
    """The view's features by their names after the join."""

    @property
    def ttl(self) -> timedelta | None:
        """How long a row of the view holds; None is for ever."""
        return self.view.ttl or None


@dataclass(frozen=True)
class OnDemand:
    """An on-demand feature view as the service takes it."""

    view: OnDemandFeatureView
    name: str
    sources: tuple[Projection, ...]
    fields: Mapping[str, Field]
    """The view's features by their names after the join."""
    ttl = None
    """What is computed is as old as its sources, and may hold without them."""

    @property
    def requested(self) -> dict[str, ValueType]:
        """The columns of the rows that it computes with, and their types."""
        return dict(self.view.get_request_data_schema())


@dataclass(frozen=True)
class Service:
    """The views of the feature service `model`."""

    full_names: bool
    """Whether two features have the same name, so that Feast has to add the views' names."""
    views: list[Projection] = field(default_factory=list)
    on_demand: list[OnDemand] = field(default_factory=list)

    @property
    def members(self) -> list[Projection | OnDemand]:
        """The views of both kinds."""
        return [*self.views, *self.on_demand]

    @property
    def lookups(self) -> list[Projection]:
        """The views that have to be read: those of the service and the on-demand views' sources."""
        return [*self.views, *(source for one in self.on_demand for source in one.sources)]

    @property
    def keys(self) -> dict[str, ValueType]:
        """The columns that rows need, to find or to compute the features, and their types."""
        types = {
            one.keys[column.name]: column.dtype.to_value_type()
            for one in self.lookups
            for column in one.view.entity_columns
            if column.name in one.keys
        }
        return types | {
            name: kind for one in self.on_demand for name, kind in one.requested.items()
        }

    def joined(self, view: str, feature: str) -> str:
        """Return the name that Feast's join gives a feature."""
        return f"{view}__{feature}" if self.full_names else feature


def of(store: FeatureStore, service: FeatureService) -> Service:
    """Read a service of a store whose definitions are applied.

    Where features of two views have the same name, each is called `<view>__<feature>`.

    Raises:
        Problem: the service takes two views under the same name.
    """
    views: dict[str, Any] = {view.name: view for view in store.list_all_feature_views()}
    taken = {one.name_to_use(): one for one in service.feature_view_projections}
    if len(taken) < len(service.feature_view_projections):
        names = Counter(one.name_to_use() for one in service.feature_view_projections)
        raise Problem(
            f"feature_repo/: the service {service.name!r} takes {names.most_common(1)[0][0]} twice:"
            " give one of them another name, with .with_name(…)"
        )
    counted = Counter(feature.name for one in taken.values() for feature in one.features)
    found = Service(full_names=max(counted.values(), default=1) > 1)
    for name, one in taken.items():
        view = views[one.name]
        fields = {
            feature.name if counted[feature.name] == 1 else f"{name}__{feature.name}": feature
            for feature in one.features
        }
        if not isinstance(view, OnDemandFeatureView):
            found.views.append(Projection(view, name, _keys(view, one), fields))
            continue
        sources = []
        for source in view.source_feature_view_projections.values():
            alias = source.name_to_use()
            # Of two projections of one name, Feast joins both by the keys of the first.
            first = taken.get(alias, source)
            inputs = {found.joined(alias, feature.name): feature for feature in source.features}
            read = views[source.name]
            sources.append(Projection(read, alias, _keys(read, first), inputs))
        found.on_demand.append(OnDemand(view, name, tuple(sources), fields))
    return found


def _keys(view: FeatureView, projection: FeatureViewProjection) -> dict[str, str]:
    keys = [key for key in view.join_keys if key != DUMMY_ENTITY_ID]
    return {key: projection.join_key_map.get(key, key) for key in keys}
