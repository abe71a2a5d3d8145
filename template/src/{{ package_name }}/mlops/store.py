"""The Feast store of feature_repo/, with a registry of its own for as long as it is needed."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from feast import FeatureService, FeatureStore, FileSource
from feast.errors import FeastObjectNotFoundException
from feast.infra.passthrough_provider import PassthroughProvider
from feast.repo_config import RepoConfig, load_repo_config
from feast.repo_contents import RepoContents
from feast.repo_operations import parse_repo

from . import files
from .errors import Problem

FOLDER = Path("feature_repo")
SERVICE = "model"


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
        if sources:
            _redirect(repo, written, sources)
        store.apply(
            [
                *repo.data_sources,
                *repo.entities,
                *repo.feature_views,
                *repo.on_demand_feature_views,
                *repo.feature_services,
            ]
        )
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


def join(store: FeatureStore, rows: pd.DataFrame) -> pd.DataFrame:
    """Give `rows` with the features that were known at each one's `event_timestamp`, in order."""
    keyed = rows.assign(row=range(len(rows)))
    joined = store.get_historical_features(entity_df=keyed, features=service(store)).to_df()
    return joined.sort_values("row", ignore_index=True).drop(columns="row")
