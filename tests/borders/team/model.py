"""A model whose predictions have the name and the type set by the case."""

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

KINDS: dict[str, Callable[[Any], Any]] = {
    "float": lambda x: x,
    "whole": lambda x: x.astype("int64"),
    "small": lambda x: x.astype("float32"),
    "nullable": lambda x: x.astype("int64").astype("Int64").where(x > 5),
    "truth": lambda x: x > 5,
    "text": lambda x: "is " + x.astype(str),
    "category": lambda x: pd.Series(np.where(x > 5, "$high", "<low>"), x.index).astype("category"),
    "infinite": lambda x: x.where(x < 30, np.inf),
    "missing": lambda x: x.where(x < 30),
    "decimal": lambda x: x.map(lambda value: Decimal(int(value)) / 4),
}


class Params(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


def train(train: pd.DataFrame, valid: pd.DataFrame, params: Params) -> float:
    """Return the factor, the model's only parameter."""
    return 2.0


def predict(model: float, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the amount times the factor; $CASE_PREDICTION is the column's `name:kind`."""
    name, _, kind = os.environ["CASE_PREDICTION"].rpartition(":")
    return pd.DataFrame({name: KINDS[kind](rows["amount"].astype(float) * model)})


def explain(model: float, rows: pd.DataFrame) -> pd.DataFrame:
    """Attribute the whole prediction to the amount."""
    return pd.DataFrame({"amount": rows["amount"].astype(float) * model})


def save(model: float, folder: Path) -> None:
    """Write the factor."""
    (folder / "model.txt").write_text(str(model))


def load(folder: Path) -> Any:
    """Read the factor."""
    return float((folder / "model.txt").read_text())
