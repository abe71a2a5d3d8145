"""What is usual of the rows that the model was judged on, and what of others is not.

A day differs from a sample of two months with nothing wrong: it has one weekday and one weather.
And the fewer its rows, the more it differs by chance. So a column's bound comes from how far the
reference's own days, and as many rows drawn from all of it, are from the whole: it is what one in
so many would exceed, by Hill's estimate of the tail. A column with rare extremes, as rain is, has
a wide bound, and one that is steady a narrow one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from .distances import Column, Measure, measures
from .tables import finite

FEWEST = 10
"""Parts that tell what is usual; where there are fewer days, the reference is cut into so many."""
DRAWS = 60
"""Of the whole reference, which tell what chance does."""
TAIL = 0.2
"""The share of the parts, those furthest away, that the tail is estimated by."""

Part: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


class Thresholds(BaseModel):
    """What counts as drift."""

    model_config = ConfigDict(extra="forbid")

    alarms: float = Field(default=0.05, gt=0, lt=1)
    """The share of usual days that may be called drift, were each column on its own (Bonferroni).

    Columns move together, so it is a fraction of that.
    """
    tolerance: float | None = Field(default=None, ge=1)
    """In place of `alarms`: times the distance of the reference's most unusual day."""
    distance: float = Field(default=0.1, ge=0)
    """The least bound of a distance: standard deviations of a number, 0 to 1 of categories."""
    missing: float = Field(default=0.05, ge=0, le=1)
    """The least bound of a change of the share of missing values."""
    min_rows: int = Field(default=50, ge=1)
    """Fewer rows are not judged."""

    def bound(
        self, days: Sequence[float], draws: Sequence[float], least: float, all_: int
    ) -> float:
        """Give the distance that is too far for one column of `all_`."""
        if self.tolerance:
            return max([least, *(self.tolerance * each for each in days)])
        rare = self.alarms / all_
        return max([least, *(_exceeded(each, rare, least / 2) for each in (days, draws) if each)])


@dataclass(frozen=True)
class View:
    """One column of the reference, or one view of it, and what is usual of it."""

    column: str
    measure: Measure
    bound: float
    missing: float
    missing_bound: float
    always: bool
    """Whether each day has a value."""


@dataclass(frozen=True)
class Finding:
    """One column, or one view of it; `distance` is nothing where there are too few values."""

    distance: float | None
    bound: float
    missing: float
    """The share of values that are missing or infinite."""
    usually_missing: float
    moved: str
    """What is wrong, or nothing."""
    infinite: float = 0.0
    """The share of infinite values, which are of those missing."""
    unjudged: str = ""
    """Why there is no distance, where the values are to blame."""


def parts(when: Column, rows: int, days: int = 1) -> list[Part]:
    """Give the positions of the rows of each day or `days`, at most `rows`, drawn by a fixed seed.

    As many rows as there are to compare: so the chance in a small sample counts as usual.
    """
    start = when.dt.floor(f"{days}D").to_numpy()
    found = [np.flatnonzero(start == each) for each in np.unique(start)]
    if len(found) < FEWEST:
        found = np.array_split(np.argsort(when.to_numpy(), kind="stable"), FEWEST)
    least = np.median([len(part) for part in found]) / 2  # the first and last are not whole
    random = np.random.default_rng(0)
    return [np.sort(random.permutation(part)[:rows]) for part in found if len(part) >= least]


def draws(total: int, rows: int) -> list[Part]:
    """Give the positions of so many of `total` rows, DRAWS times, drawn by a fixed seed."""
    random = np.random.default_rng(0)
    return [random.choice(total, rows) for _ in range(DRAWS)]


@np.errstate(over="ignore", invalid="ignore")
def views(
    reference: pd.DataFrame, own: list[Part], rows: int, limits: Thresholds
) -> dict[str, View]:
    """Learn from the reference, whose days are `own`, what is usual of so many rows."""
    columns = {str(name): finite(reference[name]) for name in reference}
    found = {
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
            limits.bound(far, by_chance, limits.distance, len(found)),
            missing,
            limits.bound(gaps, chance_gaps, limits.missing, len(found)),
            all(part.notna().any() for part in days),
        )

    return {name: view(*each) for name, each in found.items()}


@np.errstate(over="ignore", invalid="ignore")
def compare(
    usual: dict[str, View], current: pd.DataFrame, limits: Thresholds
) -> dict[str, Finding]:
    """Hold the columns of `current` against what is usual of them."""
    return {name: _held(view, current[view.column], limits) for name, view in usual.items()}


def _held(usual: View, column: Column, limits: Thresholds) -> Finding:
    current = finite(column)
    missing, broken = float(current.isna().mean()), ""
    infinite = missing - float(column.isna().mean())
    if len(current) >= limits.min_rows:
        if missing == 1 and usual.always:
            broken = "has no value in any row"
        elif abs(missing - usual.missing) > usual.missing_bound:
            of_these = f" (in {infinite:.1%} infinite)" if infinite else ""
            broken = (
                f"is missing in {missing:.1%} of the rows{of_these}, usually in {usual.missing:.1%}"
            )
    distance, unjudged = None, ""
    if current.notna().sum() >= limits.min_rows:
        try:
            distance = usual.measure(current)
        except Exception as error:  # values of another kind than the reference's, above all
            unjudged = f"{type(error).__name__}: {error}"[:200]
    if distance is not None and not math.isfinite(distance + usual.bound):
        distance, unjudged = None, "its values are too large to compare"
    far = distance is not None and distance > usual.bound
    moved = broken or (f"is {distance:.2f} away, over {usual.bound:.2f}" if far else "")
    return Finding(distance, usual.bound, missing, usual.missing, moved, infinite, unjudged)


def _exceeded(far: Sequence[float], rare: float, least: float) -> float:
    """Give what a share `rare` exceeds: the tail beyond the `far` fifth falls as a power (Hill).

    Values under `least`, or a thousandth of the furthest, tell nothing of it: they count as that.
    """
    if not any(far):
        return least
    ordered = np.sort(np.maximum(far, max(least, max(far) / 1000)))[::-1]
    tail = min(max(4, int(TAIL * len(ordered))), len(ordered) - 1)
    fall = np.log(ordered[:tail] / ordered[tail]).mean() if tail else 0.0
    return float(ordered[tail] * (max(tail, 1) / (len(ordered) * rare)) ** fall)
