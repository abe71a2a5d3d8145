"""The model as MLflow loads it anywhere: `mlflow.pyfunc.load_model("models:/<name>@champion")`."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from . import contract, tables


class Model:
    """The team's model behind MLflow's interface."""

    def __init__(self, folder: Path) -> None:
        """Load what model.save wrote into `folder`."""
        self._team = contract.model()
        self._model = self._team.load(folder)

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Give the predictions (schema.Predictions), a row a row."""
        return self._team.predict(self._model, rows)


def _load_pyfunc(folder: str) -> Model:
    return Model(Path(folder))


if __name__ == "__main__":
    model, source, target = map(Path, sys.argv[1:])
    tables.write(Model(model).predict(tables.read(source)), target)
