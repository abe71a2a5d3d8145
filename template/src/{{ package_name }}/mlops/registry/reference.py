"""A sample of the test rows, stored with the model as the reference for later days."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from .. import contract, files, tables

FILE = "reference.parquet"
PREDICTED, EXAMPLE = "prediction_", "example_"
"""Prefixes of column names: of predictions, since a label may have the same name, and of examples
whose own names start with a prefix."""
ALIKE = re.compile(f"({EXAMPLE})*{PREDICTED}")

ROWS, DAYS = 10_000, 60


def write(folder: Path, test: pd.DataFrame) -> Path:
    """Write a sample of the test rows, with the predictions of model/, into `folder`."""
    rows = sample(test)
    team = contract.model()
    tables.write(beside(rows, team.predict(team.load(files.MODEL), rows)), folder / FILE)
    return folder / FILE


def beside(examples: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return both as one table, which `split` separates again."""
    alike = {name: EXAMPLE + name for name in map(str, examples) if ALIKE.match(name)}
    return pd.concat([examples.rename(columns=alike), predictions.add_prefix(PREDICTED)], axis=1)


def sample(rows: pd.DataFrame) -> pd.DataFrame:
    """Return at most ROWS rows, evenly spread over at most DAYS evenly spaced days."""
    days = [*rows.groupby(tables.utc(rows[tables.TIME]).dt.date).indices.values()]
    chosen = np.unique(np.linspace(0, len(days) - 1, DAYS).round().astype(int))
    random = np.random.default_rng(0)
    each = ROWS // len(chosen)
    positions = [np.sort(random.permutation(days[number])[:each]) for number in chosen]
    return rows.iloc[np.concatenate(positions)].reset_index(drop=True)


def read(path: Path) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the examples and the predictions of a reference, or None if there is none."""
    return split(tables.read(path)) if path.exists() else None


def split(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the examples and the predictions of a table that holds both."""
    predicted = [name for name in table if str(name).startswith(PREDICTED)]
    predictions = table[predicted].rename(columns=lambda name: name.removeprefix(PREDICTED))
    examples = table.drop(columns=predicted)
    own = {name: name.removeprefix(EXAMPLE) for name in map(str, examples) if ALIKE.match(name)}
    return examples.rename(columns=own), predictions
