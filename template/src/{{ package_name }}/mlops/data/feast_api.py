"""The Feast names that the platform uses, imported in two seconds instead of seven.

Feast decorates its classes with typeguard's run-time checks, which recompile every method at
import. Only the checks of constructors are kept, because they report mistakes in feature
definitions. The platform's modules import Feast from here, so that no import bypasses this one.
"""

from inspect import isclass
from unittest.mock import patch

from typeguard import typechecked


def _constructor(target: object) -> object:
    if isclass(target) and "__init__" in vars(target):
        target.__init__ = typechecked(target.__init__)  # type: ignore[method-assign]
    return target


with patch("typeguard.typechecked", _constructor):
    from feast import (
        FeatureService,
        FeatureStore,
        FeatureView,
        Field,
        FileSource,
        OnDemandFeatureView,
    )
    from feast.data_format import ParquetFormat
    from feast.errors import FeastObjectNotFoundException
    from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_NAME, DUMMY_ENTITY_VAL
    from feast.feature_view_projection import FeatureViewProjection
    from feast.infra.passthrough_provider import PassthroughProvider
    from feast.infra.provider import get_provider
    from feast.repo_config import RepoConfig, load_repo_config
    from feast.repo_contents import RepoContents
    from feast.repo_operations import parse_repo
    from feast.types import from_feast_to_pyarrow_type, from_value_type
    from feast.value_type import ValueType

__all__ = [
    "DUMMY_ENTITY_ID",
    "DUMMY_ENTITY_NAME",
    "DUMMY_ENTITY_VAL",
    "FeastObjectNotFoundException",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "FeatureViewProjection",
    "Field",
    "FileSource",
    "OnDemandFeatureView",
    "ParquetFormat",
    "PassthroughProvider",
    "RepoConfig",
    "RepoContents",
    "ValueType",
    "from_feast_to_pyarrow_type",
    "from_value_type",
    "get_provider",
    "load_repo_config",
    "parse_repo",
]
