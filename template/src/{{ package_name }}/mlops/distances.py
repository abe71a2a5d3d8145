"""How far a column of some rows is from that of the reference: a distance for each view of it."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from .tables import texts

COMMON = 0.01
"""A category or word of at least this share counts by itself; the others and unseen ones as one."""

Column: TypeAlias = "pd.Series[Any]"
Measure: TypeAlias = Callable[[Column], float]


def measures(reference: Column) -> Iterator[tuple[str, Measure]]:
    """Give the distances from the reference, by what of the column they see; a text has two."""
    known = reference.dropna()
    if pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known):
        yield "", _of_numbers(known, lambda column: column)
        return
    shares = texts(known).value_counts(normalize=True)
    if shares[shares >= COMMON].sum() >= 0.5 or known.empty:
        yield "", _of_words(known, texts)
    else:
        yield " (length)", _of_numbers(known, lambda column: texts(column).str.len())
        yield " (words)", _of_words(known, _words)


def _of_numbers(reference: Column, view: Callable[[Column], Column]) -> Measure:
    """The Wasserstein distance in standard deviations of the reference."""
    known = view(reference).to_numpy(float)
    scale = (known.std() if len(known) else 0) or 1.0
    return lambda column: float(
        wasserstein_distance(known, view(column.dropna()).to_numpy(float)) / scale
        if len(known)
        else 0.0
    )


def _of_words(reference: Column, view: Callable[[Column], Column]) -> Measure:
    """The Jensen-Shannon distance, 0 to 1, of the common words' shares and that of the others."""
    shares = view(reference).value_counts(normalize=True)
    common = shares[shares >= COMMON]

    def spread(found: Column) -> Any:
        found = found.reindex(common.index, fill_value=0.0)
        return [*found, max(1 - found.sum(), 0)]

    return lambda column: float(
        jensenshannon(
            spread(shares), spread(view(column.dropna()).value_counts(normalize=True)), base=2
        )
    )


def _words(column: Column) -> Column:
    return texts(column).str.lower().str.findall(r"\w+").explode().fillna("")
