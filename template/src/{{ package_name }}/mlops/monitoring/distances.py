"""Distances between columns of the reference and of other rows."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from ..tables import texts

COMMON = 0.01
"""Minimum share of a category or word to count on its own; all others count as one."""

Column: TypeAlias = "pd.Series[Any]"
Measure: TypeAlias = Callable[[Column], float]


def measures(reference: Column) -> Iterator[tuple[str, Measure]]:
    """Yield the views of a column, with their distances from the reference; free text has two."""
    values = reference.dropna()
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        yield "", _numeric_measure(values, lambda column: column)
        return
    shares = texts(values).value_counts(normalize=True)
    if shares[shares >= COMMON].sum() >= 0.5 or values.empty:
        yield "", _categorical_measure(values, texts)
    else:
        yield " (length)", _numeric_measure(values, lambda column: texts(column).str.len())
        yield " (words)", _categorical_measure(values, _words)


def _numeric_measure(reference: Column, view: Callable[[Column], Column]) -> Measure:
    """Return the Wasserstein distance, in standard deviations of the reference."""
    values = view(reference).to_numpy(float)
    scale = (values.std() if len(values) else 0) or 1.0
    return lambda column: float(
        wasserstein_distance(values, view(column.dropna()).to_numpy(float)) / scale
        if len(values)
        else 0.0
    )


def _categorical_measure(reference: Column, view: Callable[[Column], Column]) -> Measure:
    """Return the Jensen-Shannon distance, 0 to 1, of the shares of common words and all others."""
    shares = view(reference).value_counts(normalize=True)
    common = shares[shares >= COMMON]

    def spread(frequencies: Column) -> list[float]:
        frequencies = frequencies.reindex(common.index, fill_value=0.0)
        return [*frequencies, max(1 - frequencies.sum(), 0)]

    return lambda column: float(
        jensenshannon(
            spread(shares), spread(view(column.dropna()).value_counts(normalize=True)), base=2
        )
    )


def _words(column: Column) -> Column:
    return texts(column).str.lower().str.findall(r"\w+").explode().fillna("")
