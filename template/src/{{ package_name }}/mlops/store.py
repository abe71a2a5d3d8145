"""The Feast store of feature_repo/, with a registry of its own for as long as it is needed."""

import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pandas as pd
from feast import FeatureService, FeatureStore
from feast.errors import FeastObjectNotFoundException
from feast.repo_config import load_repo_config
from feast.repo_operations import parse_repo

from .errors import Problem

FOLDER = Path("feature_repo")
SERVICE = "model"


@contextmanager
def opened() -> Iterator[FeatureStore]:
    """Apply feature_repo/ to a registry in a scratch folder.

    A stage is stateless: the definitions it joins by are those of its own checkout, whatever the
    shared registry holds.
    """
    logging.getLogger("feast").setLevel(logging.WARNING)
    folder = FOLDER.resolve()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    # Feast imports the definitions, and DuckDB reads their paths, as seen from feature_repo/.
    with tempfile.TemporaryDirectory() as scratch, chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = load_repo_config(folder, folder / "feature_store.yaml")
        config.registry_config = f"{scratch}/registry.db"
        store = FeatureStore(config=config, repo_path=str(folder))
        repo = parse_repo(folder)
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
