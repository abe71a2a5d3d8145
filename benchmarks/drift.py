"""Measure false alarms of drift detection, and known drift that it detects: `make bench-drift`.

Runs in the environment of a generated repo after `make pipeline`, with the thresholds of its
params.yaml. Draws are random rows of the reference, as many as a day has. Days held out are days of
the test split, compared with a reference without the days of the same fold; they are harder, since
days of a season do differ. The days of the training months show the effect of the season.
"""

import warnings
from collections import Counter
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pandas as pd

DRAWS, FOLDS = 200, 8
PACKAGE = next(iter(entry_points(group="console_scripts", name="mlops"))).value.split(".")[0]


def mlops(name: str) -> Any:
    """Return a platform module."""
    return import_module(f"{PACKAGE}.mlops.{name}")


class Judge:
    """A reference that inputs and predictions are compared with."""

    def __init__(self, reference: pd.DataFrame, rows: int) -> None:
        """Compute the bounds for samples of `rows` rows."""
        thresholds = mlops("monitoring.thresholds")
        self.limits = mlops("monitoring.drift").Params(**section())
        self.compare = thresholds.compare
        own = thresholds.parts(reference["event_timestamp"], rows)
        examples, predictions = mlops("registry.reference").split(reference)
        inputs = examples[[*mlops("contract").schema().Features.to_schema().columns]]
        self.table = pd.concat([inputs, predictions], axis=1)
        self.views = thresholds.views(self.table, own, rows, self.limits)

    def moved(self, rows: pd.DataFrame) -> list[str]:
        """Return the names of the columns that drifted."""
        prefix = mlops("registry.reference").PREDICTED
        inputs = {str(name): str(name).removeprefix(prefix) for name in rows if prefix in str(name)}
        current = rows.drop(columns=[*inputs.values()], errors="ignore").rename(columns=inputs)
        findings = self.compare(self.views, current, self.limits)
        return [name for name, each in findings.items() if each.moved]


def section() -> dict[str, Any]:
    """Return the section `monitor` of params.yaml."""
    params, drift = mlops("params"), mlops("monitoring.drift")
    values: dict[str, Any] = params.section("monitor", drift.Params, optional=True).model_dump()
    return values


def predicted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the model's predictions, in the form of a reference."""
    team, files, reference = mlops("contract").model(), mlops("files"), mlops("registry.reference")
    rows = rows.reset_index(drop=True)
    predictions = team.predict(team.load(files.MODEL), rows).add_prefix(reference.PREDICTED)
    return pd.concat([rows, predictions], axis=1)


def by_day(rows: pd.DataFrame, least: float) -> dict[str, pd.DataFrame]:
    """Return the rows of each day that has at least `least` rows, by date."""
    days = {str(day): part for day, part in rows.groupby(rows["event_timestamp"].dt.date)}
    return {day: part for day, part in days.items() if len(part) >= least}


def show(title: str, total: int, alarms: dict[str, list[str]]) -> None:
    """Print the number of alarms, the most frequent columns and, for a few alarms, their names."""
    columns = Counter(name for names in alarms.values() for name in names).most_common(4)
    names = f"; {', '.join([*alarms][:4])}" if len(alarms) <= 4 else ""
    by = f": {', '.join(f'{name} {count}' for name, count in columns)}{names}" if alarms else ""
    print(f"{title:34}{len(alarms):4} of {total}{by}", flush=True)


def called(judge: Judge, rows: dict[str, pd.DataFrame]) -> dict[str, list[str]]:
    """Return the drifted columns of each sample with drift, by the sample's name."""
    return {name: moved for name, each in rows.items() if (moved := judge.moved(each))}


def main() -> None:
    """Measure and print one line per measurement."""
    warnings.simplefilter("ignore")
    test, train = (predicted(mlops("data.dataset").read(name)) for name in ("test", "train"))
    median = float(test["event_timestamp"].dt.date.value_counts().median())
    sample, rows = mlops("registry.reference").sample, int(median)
    days, random = by_day(test, median / 2), np.random.default_rng(3)
    reference = sample(test)
    print(f"{PACKAGE}: {len(test):,} test rows, {len(days)} days, {rows:,} rows per day")

    judge = Judge(reference, rows)
    drawn = {str(n): reference.iloc[random.choice(len(reference), rows)] for n in range(DRAWS)}
    show("draws of the reference", DRAWS, called(judge, drawn))

    order = random.permutation([*days])
    alarms: dict[str, list[str]] = {}
    for fold in range(FOLDS):
        out = set(order[fold::FOLDS])
        rest = pd.concat([part for day, part in days.items() if day not in out], ignore_index=True)
        alarms |= called(Judge(sample(rest), rows), {day: days[day] for day in sorted(out)})
    show("days held out", len(days), alarms)

    month = train["event_timestamp"].dt.month
    for number in sorted(month.unique()):
        trained = by_day(train[month == number], median / 2)
        show(f"days of training month {number}", len(trained), called(judge, trained))

    inputs = [*mlops("contract").schema().Features.to_schema().columns]
    nulls = {name: reference.head(rows).assign(**{name: None}) for name in inputs}
    detected = {
        name: moved
        for name, moved in called(judge, nulls).items()
        if any(view.split(" (")[0] == name for view in moved)
    }
    show("inputs without values, detected", len(inputs), detected)


if __name__ == "__main__":
    main()
