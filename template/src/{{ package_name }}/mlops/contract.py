# ruff: noqa: N802 (the properties are named like the classes and tables they stand for)
"""What the platform asks of the team's modules, and nothing more.

The five modules beside this package are the team's. Each is held against its Protocol twice: by
mypy (the assignments at the end of this file), and by the stage that needs it, with one clear line.
`Params` is a module's section of params.yaml: data, features, model.
A platform of a newer version must work with modules written for an older one: what it adds here
has a default.
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
    """data.py: where the rows come from."""

    @property
    def Params(self) -> type[BaseModel]:
        """The type of its section of params.yaml."""

    def load(self, params: Any) -> dict[str, pd.DataFrame]:
        """Give the raw tables by name; `params` is the section `data`."""


class Features(Protocol):
    """features.py: what was known when."""

    @property
    def Params(self) -> type[BaseModel]:
        """The type of its section of params.yaml."""

    def build(self, raw: Mapping[str, pd.DataFrame], params: Any) -> dict[str, pd.DataFrame]:
        """Give a table a Feast source: entity keys, `event_timestamp`, features.

        A row may hold only what was known at its `event_timestamp`.
        """

    def examples(self, raw: Mapping[str, pd.DataFrame], params: Any) -> pd.DataFrame:
        """Give a row an example: entity keys, `event_timestamp`, request features, label."""

    # It may have a `requests(raw, params)`, which gives the rows to predict, and a `derive(rows)`,
    # which adds to what a client sends what follows from it; see `requests` below and derive.py.


class Model(Protocol):
    """model.py: how to fit, predict and explain. What `train` gives is opaque to the platform.

    It may have a `row_predictor` too; see below.
    """

    @property
    def Params(self) -> type[BaseModel]:
        """The type of its section of params.yaml."""

    def train(self, train: pd.DataFrame, valid: pd.DataFrame, params: Any) -> Any:
        """Fit on `train`; `valid` is later in time, for early stopping."""

    def predict(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
        """Give the predictions (schema.Predictions), with the index of `rows`.

        A row's prediction depends on no other row. No rows give none; a word never seen, a missing
        value where the schema allows one, and further columns are no error.
        """

    def explain(self, model: Any, rows: pd.DataFrame) -> pd.DataFrame:
        """Give each feature's contribution to each prediction, a column a feature.

        It takes what `predict` takes, but not no rows.
        """

    def save(self, model: Any, folder: Path) -> None:
        """Write the model into the empty `folder`; the same model gives the same bytes."""

    def load(self, folder: Path) -> Any:
        """Read what `save` wrote."""


RowPredictor = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Takes a row's inputs by name, None where one is missing; gives its prediction by column."""


class Metrics(Protocol):
    """metrics.py: how good predictions are, and better than what."""

    def score(self, examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, float]:
        """Give the metrics by name; one that these rows cannot have is left out."""

    def curves(self, examples: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Give plots by name: the first column is x, each other is a line."""

    def baselines(self, train: pd.DataFrame, test: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Give, by name, the predictions for `test` of models that anybody would try first."""


class Schema(Protocol):
    """schema.py: what a valid row is, at each border.

    It may have an `EXAMPLE` too; see `example` below.
    """

    @property
    def RAW(self) -> Mapping[str, type[DataFrameModel]]:
        """The raw tables, by the names that data.load gives."""

    @property
    def Features(self) -> type[DataFrameModel]:
        """The model's inputs."""

    @property
    def Examples(self) -> type[DataFrameModel]:
        """The inputs with `event_timestamp` and label, after the join."""

    @property
    def Predictions(self) -> type[DataFrameModel]:
        """What model.predict gives."""


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
    for member, wanted in _members(_PROTOCOLS[name]).items():
        if (given := getattr(module, member, None)) is None:
            raise Problem(f"{where} has no {member}{wanted}: add it; see mlops/contract.py")
        if wanted and not _accepts(given, wanted):
            raise Problem(
                f"{where}: {member}{inspect.signature(given)} should be {member}{wanted};"
                " see mlops/contract.py"
            )
    return module


def _members(protocol: type) -> dict[str, str]:
    """The protocol's members; a function with its parameters as text, a value with none."""
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
    """The rows to predict, by features.requests; the examples where a team has none."""
    team = features()
    given = getattr(team, "requests", team.examples)
    found: pd.DataFrame = given(raw, params)
    return found


def model() -> Model:
    """The team's model.py."""
    return cast(Model, _team_module("model"))


def row_predictor(fitted: Any) -> RowPredictor | None:
    """A function that says of one row what model.predict says of a table of it, bit for bit.

    It is for a service's speed: a model.py that has no `row_predictor` is asked by tables.
    """
    make = getattr(model(), "row_predictor", None)
    found: RowPredictor | None = make(fitted) if make else None
    return found


def metrics() -> Metrics:
    """The team's metrics.py."""
    return cast(Metrics, _team_module("metrics"))


def schema() -> Schema:
    """The team's schema.py."""
    return cast(Schema, _team_module("schema"))


def inputs() -> dict[str, Column]:
    """The columns of schema.Features."""
    found: dict[str, Column] = schema().Features.to_schema().columns
    return found


def request_columns() -> dict[str, Column]:
    """The columns of schema.Examples and schema.Features: the types of what a client may send."""
    return {**schema().Examples.to_schema().columns, **inputs()}


def kind(column: Column) -> type:
    """Return the type that a column's values have in JSON."""
    kinds: dict[str, type] = {"b": bool, "i": int, "u": int, "f": float, "M": datetime}
    return kinds.get(getattr(getattr(column.dtype, "type", None), "kind", "O"), str)


def example() -> dict[str, Any]:
    """schema.EXAMPLE, one request as JSON: the entity keys and the features that are not Feast's.

    It is empty in a schema.py that is older than this.
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
