"""BentoML's service of the same model, as its documentation has it."""

import importlib
import os
from pathlib import Path
from typing import Any

import bentoml
import pandas as pd

model = importlib.import_module(f"{os.environ['PACKAGE']}.model")


@bentoml.service(workers=1)
class Service:
    """One worker; rows come as a list of records."""

    def __init__(self) -> None:
        """Load the model."""
        self.model = model.load(Path(os.environ["MODEL"]))

    @bentoml.api(route="/v1/predict")
    def predict(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Give the predictions."""
        found: list[dict[str, Any]] = model.predict(self.model, rows).to_dict(orient="records")
        return found
