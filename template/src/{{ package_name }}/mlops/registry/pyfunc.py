"""The model as an MLflow pyfunc: `mlflow.pyfunc.load_model("models:/<name>@champion")`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandera.api.pandas.components import Column
from pandera.pandas import DataFrameModel

from .. import contract, derive

TYPES: Mapping[Any, str] = {
    np.dtype(bool): "boolean",
    np.dtype("int32"): "integer",
    np.dtype("int64"): "long",
    np.dtype("float32"): "float",
    np.dtype("float64"): "double",
    np.dtype("datetime64[ns]"): "datetime",
    np.dtype(str): "string",
}
"""MLflow's types. It has none for nullable integers, categories and times with a time zone."""


def types(schema: type[DataFrameModel]) -> dict[str, str]:
    """Return MLflow's type of each column of a schema; "any" if MLflow has none."""
    columns: dict[str, Column] = schema.to_schema().columns
    return {
        name: TYPES.get(getattr(column.dtype, "type", None), "any")
        for name, column in columns.items()
    }


class Model:
    """The team's model behind MLflow's interface."""

    def __init__(self, folder: Path) -> None:
        """Load what model.save wrote into `folder`."""
        self._team = contract.model()
        self._model = self._team.load(folder)
        inputs = contract.schema().Features
        columns: dict[str, Column] = inputs.to_schema().columns
        self._any = {
            name: columns[name].dtype for name, type_ in types(inputs).items() if type_ == "any"
        }

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the predictions (schema.Predictions), one row per input row.

        Columns that MLflow has no type for are converted to that of schema.Features.
        """
        converted = {
            name: kind.coerce(rows[name])
            for name, kind in self._any.items()
            if kind and rows[name].dtype != getattr(kind, "type", None)
        }
        return self._team.predict(self._model, rows.assign(**converted) if converted else rows)

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return each feature's contribution to each prediction, one column per feature."""
        return self._team.explain(self._model, rows)

    def derive(self) -> derive.Hook | None:
        """Return the hook that adds derived columns to requests, if there is one."""
        return derive.hook()

    def row_predictor(self) -> contract.RowPredictor | None:
        """Return the team's faster predictor for a single row, if there is one."""
        return contract.row_predictor(self._model)


def _load_pyfunc(folder: str) -> Model:
    return Model(Path(folder))
