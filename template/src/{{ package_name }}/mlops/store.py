"""The Feast store of feature_repo/, with a registry of its own for as long as it is needed."""

import logging
import os
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from . import contract, files, projections, source_tables, tables
from .errors import Problem
from .feast_api import (
    DUMMY_ENTITY_ID,
    DUMMY_ENTITY_NAME,
    DUMMY_ENTITY_VAL,
    FeastObjectNotFoundException,
    FeatureService,
    FeatureStore,
    FileSource,
    PassthroughProvider,
    RepoConfig,
    RepoContents,
    ValueType,
    get_provider,
    load_repo_config,
    parse_repo,
)

FOLDER = Path("feature_repo")
SERVICE = "model"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
ROW = "__row__"
"""The column that keeps the rows' order through the join."""
TYPES = {
    bool: ValueType.BOOL,
    int: ValueType.INT64,
    float: ValueType.DOUBLE,
    str: ValueType.STRING,
    datetime: ValueType.UNIX_TIMESTAMP,
}
"""Feast's types of what JSON holds."""


@contextmanager
def opened(sources: Path | None = None, *, online: bool = False) -> Iterator[FeatureStore]:
    """Apply feature_repo/ to a registry in a scratch folder.

    A stage is stateless: the definitions it joins by are those of its own checkout, whatever the
    shared registry holds. What they read from data/features/ is read from `sources` instead.
    With `online`, only the online store can be asked: nothing is made in it, and the offline
    store's libraries need not be installed.
    """
    logging.getLogger("feast").setLevel(logging.WARNING)
    folder, written = FOLDER.resolve(), files.FEATURES.resolve()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    # Feast imports the definitions, and DuckDB reads their paths, as seen from feature_repo/.
    with tempfile.TemporaryDirectory() as scratch, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = _config(folder, online)
        # Kept in memory for good: who holds the store longer than this block has no file.
        config.registry_config = {"path": f"{scratch}/registry.db", "cache_ttl_seconds": 0}
        store = FeatureStore(config=config, repo_path=str(folder))
        repo = deepcopy(parse_repo(folder))
        _complete(repo, written)
        if sources:
            _redirect(repo, written, sources)
        store.apply(
            [
                *repo.data_sources,
                *repo.entities,
                *repo.feature_views,
                *repo.stream_feature_views,
                *repo.on_demand_feature_views,
                *repo.feature_services,
            ]
        )
        if not online and any(one.name == SERVICE for one in repo.feature_services):
            source_tables.check(projections.of(store, service(store)))
        yield store


class ReadingProvider(PassthroughProvider):
    """Feast's provider of who may only read."""

    def update_infra(self, *_: Any, **__: Any) -> None:
        """Leave the online store as it is."""


def _config(folder: Path, online: bool) -> RepoConfig:
    file = folder / "feature_store.yaml"
    if not online:
        return load_repo_config(folder, file)
    values = yaml.safe_load(os.path.expandvars(file.read_text()))  # as Feast reads it
    provider = f"{__name__}.{ReadingProvider.__name__}"
    config = RepoConfig(**{**values, "offline_store": None, "provider": provider})
    config.repo_path = folder
    return config


def _complete(repo: RepoContents, written: Path) -> None:
    """Say what Feast would infer from the sources' files, which a service does not have."""
    for source in repo.data_sources:
        if isinstance(source, FileSource) and Path(source.path).resolve().parent == written:
            source.timestamp_field = source.timestamp_field or "event_timestamp"
    keys = {entity.name: entity.join_key for entity in repo.entities}
    views = {view.name: view for view in [*repo.feature_views, *repo.stream_feature_views]}
    taken = [
        *(one for service in repo.feature_services for one in service.feature_view_projections),
        *(
            one
            for view in repo.on_demand_feature_views
            for one in view.source_feature_view_projections.values()
        ),
    ]
    for each in views.values():
        for name in {*each.entities} - {*keys, DUMMY_ENTITY_NAME}:  # Feast would join by no key
            raise Problem(
                f"{FOLDER}/: the view {each.name} has the entity {name!r}, which no variable of the"
                f" module holds: write `entity = Entity(name={name!r}, …)` and `entities=[entity]`"
            )
    named = Counter(one.name for one in taken)
    for projection in taken:
        if named[projection.name] > 1:  # Feast sorts them by their aliases, and None has no order
            projection.name_alias = projection.name_alias or projection.name
        # Feast joins by the keys that the map names, and by no other.
        if projection.join_key_map and (view := views.get(projection.name)):
            own = [keys[name] for name in view.entities if name in keys]
            projection.join_key_map = {key: key for key in own} | projection.join_key_map
    for entity in repo.entities:
        if entity.value_type is ValueType.UNKNOWN:
            aliases = [one.join_key_map.get(entity.join_key) for one in taken]
            entity.value_type = _type_of(entity.join_key, *filter(None, aliases))


def _type_of(*names: str) -> ValueType:
    """The type of a column in the model's inputs, or in the example of a request."""
    kinds = {name: contract.kind(column) for name, column in contract.inputs().items()}
    kinds |= {name: type(value) for name, value in contract.example().items()}
    return next(
        (TYPES[kinds[name]] for name in names if kinds.get(name) in TYPES), ValueType.UNKNOWN
    )


def _redirect(repo: RepoContents, written: Path, sources: Path) -> None:
    for view in repo.feature_views:
        source = view.batch_source
        if isinstance(source, FileSource) and Path(source.path).resolve().parent == written:
            source.file_options.uri = str(sources / Path(source.path).name)


def service(store: FeatureStore) -> FeatureService:
    """The features that the model takes: the feature service called `model`."""
    try:
        return store.get_feature_service(SERVICE)
    except FeastObjectNotFoundException:
        raise Problem(f"{FOLDER}/ defines no FeatureService(name={SERVICE!r}): add it") from None


def fill(store: FeatureStore, until: datetime) -> None:
    """Bring the online store up to date with what the sources have until then."""
    views = [view for view in store.list_feature_views() if view.online]
    single = [view for view in views if not view.join_keys and type(view.source) is FileSource]
    if not single:
        store.materialize(BEGINNING, until)
        return
    store.materialize(BEGINNING, until, [view.name for view in views if view not in single])
    for view in single:  # for which DuckDB does not give the key that Feast stores it by
        source: Any = view.source
        rows = pd.read_parquet(source.path)
        when = pd.to_datetime(rows[source.timestamp_field], utc=True)
        newest = rows.loc[when[when <= until].sort_values().index[-1:]]
        keyed = store.registry.get_feature_view(view.name, store.project)
        get_provider(store.config).ingest_df(
            keyed, newest.assign(**{DUMMY_ENTITY_ID: DUMMY_ENTITY_VAL})
        )


def join(store: FeatureStore, rows: pd.DataFrame) -> pd.DataFrame:
    """Return `rows` with the features that were known at each one's `event_timestamp`, in order.

    Raises:
        Problem: the rows have a column that is called like a feature.
    """
    asked = service(store)
    model = projections.of(store, asked)
    names = {
        model.joined(one.name, field.name): name
        for one in model.members
        for name, field in one.fields.items()
    }
    if both := sorted({*rows} & {*names.values()}):
        raise Problem(
            f"features.examples and the service {SERVICE!r} both have {', '.join(both)}: leave it"
            " out of one of them"
        )
    source_tables.check_rows(rows, model)
    from . import as_of  # the service, which joins nothing, has no Ibis

    # The other columns stay here: the join has fewer types than pandas, and names of its own.
    needed = [name for name in rows if name == tables.TIME or name in model.keys]
    with as_of.in_use():
        joined = store.get_historical_features(
            entity_df=rows[needed].assign(**{ROW: range(len(rows))}),
            features=asked,
            full_feature_names=model.full_names,
        ).to_df()
    in_order = joined.sort_values(ROW, ignore_index=True).rename(columns=names)
    return pd.concat([rows.reset_index(drop=True), in_order[[*names.values()]]], axis=1)
