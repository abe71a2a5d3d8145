"""What the model was judged on: a sample of its test rows, kept beside it to compare days with."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from . import contract, dataset, files, tables

FILE = "reference.parquet"
PREDICTED, EXAMPLE = "prediction_", "example_"
"""Before the names of the predictions, for a label may have the same name; and before those of
examples that begin so."""
ALIKE = re.compile(f"({EXAMPLE})*{PREDICTED}")

ROWS, DAYS = 10_000, 60


def write(folder: Path) -> Path:
    """Write the sample, with what model/ predicts of it, into `folder`; the same bytes again."""
    rows = sample(dataset.read("test"))
    team = contract.model()
    tables.write(beside(rows, team.predict(team.load(files.MODEL), rows)), folder / FILE)
    return folder / FILE


def beside(examples: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return one table of both, which `split` takes apart."""
    alike = {name: EXAMPLE + name for name in map(str, examples) if ALIKE.match(name)}
    return pd.concat([examples.rename(columns=alike), predictions.add_prefix(PREDICTED)], axis=1)


def sample(rows: pd.DataFrame) -> pd.DataFrame:
    """Give at most ROWS rows: of at most DAYS days, evenly apart, and as many of each."""
    days = [*rows.groupby(tables.utc(rows[tables.TIME]).dt.date).indices.values()]
    chosen = np.unique(np.linspace(0, len(days) - 1, DAYS).round().astype(int))
    random = np.random.default_rng(0)
    each = ROWS // len(chosen)
    taken = [np.sort(random.permutation(days[number])[:each]) for number in chosen]
    return rows.iloc[np.concatenate(taken)].reset_index(drop=True)


def read(path: Path) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Give the examples and the predictions of a reference, or nothing where there is none."""
    return split(tables.read(path)) if path.exists() else None


def split(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the examples and the predictions of a table that holds both."""
    predicted = [name for name in table if str(name).startswith(PREDICTED)]
    predictions = table[predicted].rename(columns=lambda name: name.removeprefix(PREDICTED))
    examples = table.drop(columns=predicted)
    own = {name: name.removeprefix(EXAMPLE) for name in map(str, examples) if ALIKE.match(name)}
    return examples.rename(columns=own), predictions
