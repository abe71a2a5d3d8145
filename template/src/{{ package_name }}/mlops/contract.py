# ruff: noqa: N802 (properties are named after the classes and tables they stand for)
"""The interface that the platform requires of the team's modules.

The five modules beside this package belong to the team. Each is checked against its Protocol twice:
by mypy (see the assignments at the end of this file), and by the stage that needs it, which reports
a mismatch in one line. `Params` is the type of a module's section of params.yaml: data, features,
model.

A newer platform must work with modules written for an older one, so whatever it adds here has a
default.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import pandas as pd
from pandera.api.pandas.components import Column
from pandera.pandas import DataFrameModel
from pydantic import BaseModel

from .errors import Problem


class Data(Protocol):
    """data.py: loads the raw tables."""

    @property
    def Params(self) -> type[BaseModel]:
        """Type of this module's section of params.yaml."""

    def load(self, params: Any) -> dict[str, pd.DataFrame]:
        """Return the raw tables by name; `params` is the section `data`."""


class Features(Protocol):
    """features.py: features and examples, each with the time at which it was known."""

    @property
    def Params(self) -> type[BaseModel]:
        """Type of this module's section of params.yaml."""

    def build(self, raw: Mapping[str, pd.DataFrame], params: Any) -> dict[str, pd.DataFrame]:
        """Return one table per Feast source: entity keys, `event_timestamp`, features.

        A row may contain only what was known at its `event_timestamp`.
        """

    def examples(self, raw: Mapping[str, pd.DataFrame], params: Any) -> pd.DataFrame:
        """Return one row per example: keys, `event_timestamp`, request features, label."""

    # Optional: `requests(raw, params)` returns the rows to predict (see `requests` below), and
    # `derive(rows)` adds columns that follow from what a client sends (see derive.py).


class Model(Protocol):
    """model.py: fits, predicts and explains. The platform never looks inside a model.

    Optional: `row_predictor`; see below.
    """

    @property
    def Params(self) -> type[BaseModel]:
        """Type of this module's section of params.yaml."""

    def train(self, train: pd.DataFrame, valid: pd.DataFrame, params: Any) -> Any:
        """Return a model fitted on `train`; `valid` is later in time, for early stopping."""

    def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the predictions (schema.Predictions), with the index of `rows`.

        A row's prediction must not depend on other rows. Accept an empty table, unseen words,
        missing values where the schema allows them, and additional columns.
        """

    def explain(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
        """Return each feature's contribution to each prediction, one column per feature.

        Accept what `predict` accepts, except an empty table.
        """

    def save(self, model: Any, folder: Path) -> None:
        """Write the model to the empty `folder`; the same model must give the same bytes."""

    def load(self, folder: Path) -> Any:
        """Read a model that `save` wrote."""


RowPredictor = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Takes one row's inputs by name, None for a missing one; returns its prediction by column."""


class Metrics(Protocol):
    """metrics.py: the quality of predictions, and baselines to compare it with."""

    def score(self, examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
        """Return the metrics by name; omit those that are undefined for these rows."""

    def curves(self, examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Return plots by name: the first column is x, each other column is a line."""

    def baselines(self, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Return the predictions of simple models for `test`, by the model's name."""


class Schema(Protocol):
    """schema.py: the schemas of the tables that modules and platform exchange.

    Optional: `EXAMPLE`; see `example` below.
    """

    @property
    def RAW(self) -> Mapping[str, type[DataFrameModel]]:
        """Schemas of the raw tables, by the names that data.load returns."""

    @property
    def Features(self) -> type[DataFrameModel]:
        """The model's inputs."""

    @property
    def Examples(self) -> type[DataFrameModel]:
        """The inputs with `event_timestamp` and label, after the join."""

    @property
    def Predictions(self) -> type[DataFrameModel]:
        """The output of model.predict."""


_PROTOCOLS = {
    "data": Data,
    "features": Features,
    "model": Model,
    "metrics": Metrics,
    "schema": Schema,
}


def _team_module(name: str) -> Any:
    package = str(__package__).rpartition(".")[0]
    where = f"src/{package.replace('.', '/')}/{name}.py"
    if importlib.util.find_spec(f"{package}.{name}") is None:
        raise Problem(f"there is no {where}: the platform needs it; see mlops/contract.py")
    module = importlib.import_module(f"{package}.{name}")
    for member, parameters in _members(_PROTOCOLS[name]).items():
        if (value := getattr(module, member, None)) is None:
            raise Problem(f"{where} has no {member}{parameters}: add it; see mlops/contract.py")
        if parameters and not _accepts(value, parameters):
            raise Problem(
                f"{where}: {member}{inspect.signature(value)} should be {member}{parameters};"
                " see mlops/contract.py"
            )
    return module


def _members(protocol: type) -> dict[str, str]:
    """Return the protocol's members: functions with their parameters as text, values with ""."""
    return {
        name: f"({', '.join(list(inspect.signature(member).parameters)[1:])})"
        if inspect.isfunction(member)
        else ""
        for name, member in vars(protocol).items()
        if not name.startswith("_")
    }


def _accepts(function: Any, parameters: str) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*parameters.strip("()").split(", "))
    except TypeError:
        return False
    return True


def data() -> Data:
    """The team's data.py."""
    return cast(Data, _team_module("data"))


def features() -> Features:
    """The team's features.py."""
    return cast(Features, _team_module("features"))


def requests(raw: Mapping[str, pd.DataFrame], params: Any) -> pd.DataFrame:
    """Return the rows to predict: those of features.requests if defined, else the examples."""
    team = features()
    build = getattr(team, "requests", team.examples)
    rows: pd.DataFrame = build(raw, params)
    return rows


def model() -> Model:
    """The team's model.py."""
    return cast(Model, _team_module("model"))


def row_predictor(fitted: Any) -> RowPredictor | None:
    """Return a function that predicts one row exactly as model.predict does, but faster.

    None if model.py has no `row_predictor`, or if that raises a NotImplementedError; the service
    then predicts tables.
    """
    make = getattr(model(), "row_predictor", None)
    try:
        predict: RowPredictor | None = make(fitted) if make else None
    except NotImplementedError:  # as single_row does with a LightGBM that lacks its functions
        return None
    return predict


def metrics() -> Metrics:
    """The team's metrics.py."""
    return cast(Metrics, _team_module("metrics"))


def schema() -> Schema:
    """The team's schema.py."""
    return cast(Schema, _team_module("schema"))


def inputs() -> dict[str, Column]:
    """The columns of schema.Features."""
    columns: dict[str, Column] = schema().Features.to_schema().columns
    return columns


def request_columns() -> dict[str, Column]:
    """The columns of schema.Examples and schema.Features: the types of what a client may send."""
    return {**schema().Examples.to_schema().columns, **inputs()}


def kind(column: Column) -> type:
    """Return the Python type of a column's values in JSON."""
    kinds: dict[str, type] = {"b": bool, "i": int, "u": int, "f": float, "M": datetime}
    return kinds.get(getattr(getattr(column.dtype, "type", None), "kind", "O"), str)


def example() -> dict[str, Any]:
    """Return schema.EXAMPLE, one request as JSON: entity keys and the features not in Feast.

    Empty if schema.py does not define it.
    """
    return dict(getattr(schema(), "EXAMPLE", {}))


if TYPE_CHECKING:
    from .. import data as _data
    from .. import features as _features
    from .. import metrics as _metrics
    from .. import model as _model
    from .. import schema as _schema

    _1: Data = _data
    _2: Features = _features
    _3: Model = _model
    _4: Metrics = _metrics
    _5: Schema = _schema
