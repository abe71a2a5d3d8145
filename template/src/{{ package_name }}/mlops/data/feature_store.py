"""The Feast store of feature_repo/, opened with a temporary registry."""

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
from typing import cast

import pandas as pd
import yaml

from .. import contract, files, tables
from ..errors import Problem
from . import projections, source_tables
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
"""Column that preserves the order of rows through the join."""
TYPES = {
    bool: ValueType.BOOL,
    int: ValueType.INT64,
    float: ValueType.DOUBLE,
    str: ValueType.STRING,
    datetime: ValueType.UNIX_TIMESTAMP,
}
"""Feast types by Python type of the JSON value."""


@contextmanager
def opened(sources: Path | None = None, *, online: bool = False) -> Iterator[FeatureStore]:
    """Apply feature_repo/ to a registry in a temporary folder.

    Stages are stateless: they join by the definitions of their own checkout, whatever a shared
    registry contains.

    Args:
        sources: the folder to read the files of data/features/ from, if it is another one.
        online: open for reading the online store only: create nothing there, and do not require
            the offline store's libraries.

    Raises:
        Problem: a definition, or a table that the feature service reads, is invalid.
    """
    logging.getLogger("feast").setLevel(logging.WARNING)
    folder, written = FOLDER.resolve(), files.FEATURES.resolve()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = _config(folder, online)
        # Cache the registry forever: the store may be used after this block, without its file.
        config.registry_config = {"path": f"{scratch}/registry.db", "cache_ttl_seconds": 0}
        store = FeatureStore(config=config, repo_path=str(folder))
        repo = _parsed(folder)
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
        if not online and any(each.name == SERVICE for each in repo.feature_services):
            source_tables.check(projections.resolve(store, service(store)))
        yield store


def _parsed(folder: Path) -> RepoContents:
    """Return the definitions; their imports and file paths are relative to feature_repo/."""
    with chdir(folder):
        repo = deepcopy(parse_repo(folder))
    views = [*repo.feature_views, *repo.stream_feature_views]
    for source in [*repo.data_sources, *(view.batch_source for view in views)]:
        if isinstance(source, FileSource) and "://" not in source.path:
            source.file_options.uri = str((folder / source.path).resolve())
    return repo


class ReadingProvider(PassthroughProvider):
    """A Feast provider for processes that may only read."""

    def update_infra(self, *_: object, **__: object) -> None:
        """Do not change the online store."""


def _config(folder: Path, online: bool) -> RepoConfig:
    file = folder / "feature_store.yaml"
    if not online:
        return load_repo_config(folder, file)
    values = yaml.safe_load(os.path.expandvars(file.read_text()))  # like Feast
    provider = f"{__name__}.{ReadingProvider.__name__}"
    config = RepoConfig(**{**values, "offline_store": None, "provider": provider})
    config.repo_path = folder
    return config


def _complete(repo: RepoContents, written: Path) -> None:
    """Fill in what Feast would infer from the source files, which a service does not have."""
    for source in repo.data_sources:
        if isinstance(source, FileSource) and Path(source.path).resolve().parent == written:
            source.timestamp_field = source.timestamp_field or "event_timestamp"
    keys = {entity.name: entity.join_key for entity in repo.entities}
    views = {view.name: view for view in [*repo.feature_views, *repo.stream_feature_views]}
    used = [
        *(each for service in repo.feature_services for each in service.feature_view_projections),
        *(
            each
            for view in repo.on_demand_feature_views
            for each in view.source_feature_view_projections.values()
        ),
    ]
    for view in views.values():
        for name in {*view.entities} - {*keys, DUMMY_ENTITY_NAME}:  # Feast would join without a key
            raise Problem(
                f"{FOLDER}/: the view {view.name} has the entity {name!r}, which is not a variable"
                f" of the module: write `entity = Entity(name={name!r}, …)` and"
                " `entities=[entity]`"
            )
    uses = Counter(each.name for each in used)
    for projection in used:
        if uses[projection.name] > 1:  # Feast sorts them by alias, and cannot sort None
            projection.name_alias = projection.name_alias or projection.name
        # Feast joins only by the keys in the map.
        if projection.join_key_map and (source_view := views.get(projection.name)):
            own = [keys[name] for name in source_view.entities if name in keys]
            projection.join_key_map = {key: key for key in own} | projection.join_key_map
    for entity in repo.entities:
        if entity.value_type is ValueType.UNKNOWN:
            aliases = [each.join_key_map.get(entity.join_key) for each in used]
            entity.value_type = _type_of(entity.join_key, *filter(None, aliases))


def _type_of(*names: str) -> ValueType:
    """Return the type of the first of these columns in the model's inputs or schema.EXAMPLE."""
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
    """Return the feature service `model`, which defines the features that the model takes.

    Raises:
        Problem: feature_repo/ does not define it.
    """
    try:
        return store.get_feature_service(SERVICE)
    except FeastObjectNotFoundException:
        raise Problem(f"{FOLDER}/ defines no FeatureService(name={SERVICE!r}): add it") from None


def fill(store: FeatureStore, until: datetime) -> None:
    """Load the online store with the sources' rows up to `until`."""
    views = [view for view in store.list_feature_views() if view.online]
    single = [view for view in views if not view.join_keys and type(view.source) is FileSource]
    if not single:
        store.materialize(BEGINNING, until)
        return
    store.materialize(BEGINNING, until, [view.name for view in views if view not in single])
    for view in single:  # DuckDB's offline store omits the key that Feast stores these views under
        source = cast(FileSource, view.source)
        rows = pd.read_parquet(source.path)
        times = pd.to_datetime(rows[source.timestamp_field], utc=True)
        newest = rows.loc[times[times <= until].sort_values().index[-1:]]
        keyed = store.registry.get_feature_view(view.name, store.project)
        get_provider(store.config).ingest_df(
            keyed, newest.assign(**{DUMMY_ENTITY_ID: DUMMY_ENTITY_VAL})
        )


def join(store: FeatureStore, rows: pd.DataFrame) -> pd.DataFrame:
    """Return `rows`, in order, with the features that were known at each `event_timestamp`.

    Raises:
        Problem: a column has the same name as a feature, or a key is missing or of another type.
    """
    feature_service = service(store)
    model = projections.resolve(store, feature_service)
    names = {
        model.joined(view.name, field.name): name
        for view in model.members
        for name, field in view.fields.items()
    }
    if duplicates := sorted({*rows} & {*names.values()}):
        raise Problem(
            f"features.examples and the service {SERVICE!r} both have {', '.join(duplicates)}:"
            " remove it from one of them"
        )
    source_tables.check_rows(rows, model)
    from . import as_of  # not at the top: the HTTP service has no Ibis

    # Pass only these columns: the join supports fewer types than pandas and reserves names.
    needed = [name for name in rows if name == tables.TIME or name in model.keys]
    with as_of.in_use():
        joined = store.get_historical_features(
            entity_df=rows[needed].assign(**{ROW: range(len(rows))}),
            features=feature_service,
            full_feature_names=model.full_names,
        ).to_df()
    in_order = joined.sort_values(ROW, ignore_index=True).rename(columns=names)
    return pd.concat([rows.reset_index(drop=True), in_order[[*names.values()]]], axis=1)
