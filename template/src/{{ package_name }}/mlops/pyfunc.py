"""The model as MLflow loads it anywhere: `mlflow.pyfunc.load_model("models:/<name>@champion")`."""

from pathlib import Path
from typing import Any

import pandas as pd

from . import contract


class Model:
    """The team's model behind MLflow's interface."""

    def __init__(self, folder: Path) -> None:
        """Load what model.save wrote into `folder`."""
        self._team = contract.model()
        self._model = self._team.load(folder)

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Give the predictions (schema.Predictions), a row a row."""
        return self._team.predict(self._model, rows)

    def explain(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Give each feature's contribution to each prediction, a column a feature."""
        return self._team.explain(self._model, rows)

    def row_predictor(self) -> contract.RowPredictor | None:
        """Give the team's faster way for one row, if it has one."""
        return contract.row_predictor(self._model)


def _load_pyfunc(folder: str) -> Model:
    return Model(Path(folder))
