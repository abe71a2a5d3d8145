"""Bounds of drift, learned from the rows that the model was tested on.

A single day differs from a sample of two months even if nothing is wrong: it has one weekday and
one weather. The fewer rows it has, the more it differs by chance. So the bound of a column comes
from the distances between the whole reference and its own days, and between the whole reference and
random draws with as many rows as the day. It is the distance that only a small share of them would
exceed, by Hill's estimate of the tail. A column with rare extremes, such as rain, has a wide bound,
and a steady one has a narrow bound.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ..tables import finite
from .distances import Column, Measure, measures

FEWEST = 10
"""Minimum number of parts; a reference with fewer days is cut into this many."""
DRAWS = 60
"""Number of random draws from the whole reference, which show the effect of chance."""
TAIL = 0.2
"""Share of the parts, the furthest ones, from which the tail is estimated."""

Part: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


class Thresholds(BaseModel):
    """Limits that define drift."""

    model_config = ConfigDict(extra="forbid")

    alarms: float = Field(default=0.05, gt=0, lt=1)
    """Share of normal days that may be reported as drift if columns are independent (Bonferroni).

    Columns are correlated, so the actual share is smaller.
    """
    tolerance: float | None = Field(default=None, ge=1)
    """Used instead of `alarms`: a multiple of the distance of the reference's most unusual day."""
    distance: float = Field(default=0.1, ge=0)
    """Minimum bound of a distance: standard deviations for numbers, 0 to 1 for categories."""
    missing: float = Field(default=0.05, ge=0, le=1)
    """Minimum bound of a change in the share of missing values."""
    min_rows: int = Field(default=50, ge=1)
    """Minimum number of rows to judge."""

    def bound(
        self, days: Sequence[float], draws: Sequence[float], least: float, columns: int
    ) -> float:
        """Return the bound for one of `columns` columns, from the distances of days and draws."""
        if self.tolerance:
            return max([least, *(self.tolerance * each for each in days)])
        rare = self.alarms / columns
        return max([least, *(_exceeded(each, rare, least / 2) for each in (days, draws) if each)])


@dataclass(frozen=True)
class View:
    """One column of the reference, or one view of it, with its bounds."""

    column: str
    measure: Measure
    bound: float
    missing: float
    missing_bound: float
    always: bool
    """True if each day of the reference has a value."""


@dataclass(frozen=True)
class Finding:
    """The result for one column or view; `distance` is None if there are too few values."""

    distance: float | None
    bound: float
    missing: float
    """Share of values that are missing or infinite."""
    usually_missing: float
    moved: str
    """What is wrong, or empty."""
    infinite: float = 0.0
    """Share of infinite values, which `missing` includes."""
    unjudged: str = ""
    """Why there is no distance, if that is due to the values."""


def parts(when: Column, rows: int, days: int = 1) -> list[Part]:
    """Return the row positions of each period of `days` days, sampled by a fixed seed.

    A part has at most `rows` rows, as many as are compared, so that its distance includes the
    effect of chance in a sample of that size.
    """
    start = when.dt.floor(f"{days}D").to_numpy()
    periods = [np.flatnonzero(start == each) for each in np.unique(start)]
    if len(periods) < FEWEST:
        periods = np.array_split(np.argsort(when.to_numpy(), kind="stable"), FEWEST)
    # The first and the last period may be incomplete.
    least = np.median([len(part) for part in periods]) / 2
    random = np.random.default_rng(0)
    return [np.sort(random.permutation(part)[:rows]) for part in periods if len(part) >= least]


def draws(total: int, rows: int) -> list[Part]:
    """Return the positions of `rows` out of `total` rows, DRAWS times, by a fixed seed."""
    random = np.random.default_rng(0)
    return [random.choice(total, rows) for _ in range(DRAWS)]


@np.errstate(over="ignore", invalid="ignore")
def views(
    reference: pd.DataFrame, own: list[Part], rows: int, limits: Thresholds
) -> dict[str, View]:
    """Return the views of the reference, whose days are `own`, with bounds for `rows` rows."""
    columns = {str(name): finite(reference[name]) for name in reference}
    measured = {
        f"{name}{view}": (name, measure)
        for name, column in columns.items()
        for view, measure in measures(column)
    }
    drawn = draws(len(reference), rows)

    def view(name: str, measure: Measure) -> View:
        column = columns[name]
        missing = float(column.isna().mean())
        days, chance = ([column.iloc[part] for part in each] for each in (own, drawn))
        far, by_chance = ([measure(p) for p in each if p.notna().any()] for each in (days, chance))
        gaps, chance_gaps = (
            [abs(float(part.isna().mean()) - missing) for part in each] for each in (days, chance)
        )
        return View(
            name,
            measure,
            limits.bound(far, by_chance, limits.distance, len(measured)),
            missing,
            limits.bound(gaps, chance_gaps, limits.missing, len(measured)),
            all(part.notna().any() for part in days),
        )

    return {name: view(*each) for name, each in measured.items()}


@np.errstate(over="ignore", invalid="ignore")
def compare(
    expected: dict[str, View], current: pd.DataFrame, limits: Thresholds
) -> dict[str, Finding]:
    """Compare the columns of `current` with the views of the reference."""
    return {name: _finding(view, current[view.column], limits) for name, view in expected.items()}


def _finding(expected: View, column: Column, limits: Thresholds) -> Finding:
    current = finite(column)
    missing, broken = float(current.isna().mean()), ""
    infinite = missing - float(column.isna().mean())
    if len(current) >= limits.min_rows:
        if missing == 1 and expected.always:
            broken = "has no value in any row"
        elif abs(missing - expected.missing) > expected.missing_bound:
            of_these = f" (infinite in {infinite:.1%})" if infinite else ""
            broken = (
                f"is missing in {missing:.1%} of the rows{of_these},"
                f" but in {expected.missing:.1%} of the reference"
            )
    distance, unjudged = None, ""
    if current.notna().sum() >= limits.min_rows:
        try:
            distance = expected.measure(current)
        except Exception as error:  # mostly values of another type than the reference's
            unjudged = f"{type(error).__name__}: {error}"[:200]
    if distance is not None and not math.isfinite(distance + expected.bound):
        distance, unjudged = None, "its values are too large to compare"
    moved, bound = broken, expected.bound
    if not broken and distance is not None and distance > bound:
        moved = f"is {distance:.2f} from the reference, above its bound of {bound:.2f}"
    return Finding(distance, bound, missing, expected.missing, moved, infinite, unjudged)


def _exceeded(far: Sequence[float], rare: float, least: float) -> float:
    """Return the distance that a share of `rare` exceeds, if the tail is a power law (Hill).

    Distances below `least` or a thousandth of the furthest say nothing about the tail and are
    raised to that.
    """
    if not any(far):
        return least
    ordered = np.sort(np.maximum(far, max(least, max(far) / 1000)))[::-1]
    tail = min(max(4, int(TAIL * len(ordered))), len(ordered) - 1)
    fall = np.log(ordered[:tail] / ordered[tail]).mean() if tail else 0.0
    return float(ordered[tail] * (max(tail, 1) / (len(ordered) * rare)) ** fall)
