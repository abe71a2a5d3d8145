"""A BentoML service with the same model, written as in BentoML's documentation."""

import importlib
import os
from pathlib import Path
from typing import Any

import bentoml
import pandas as pd

model = importlib.import_module(f"{os.environ['PACKAGE']}.model")


@bentoml.service(workers=1)
class Service:
    """A service with one worker; rows are sent as a list of records."""

    def __init__(self) -> None:
        """Load the model."""
        self.model = model.load(Path(os.environ["MODEL"]))

    @bentoml.api(route="/v1/predict")
    def predict(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Return the predictions."""
        records: list[dict[str, Any]] = model.predict(self.model, rows).to_dict(orient="records")
        return records
