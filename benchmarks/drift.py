"""How often drift is called where there is none, and what it finds: `make bench-drift`.

It runs in a generated repo after `make pipeline`, in its environment, with the thresholds of its
params.yaml. The draws are rows at random from the reference, as many as a day has. The days are
those of the test split, each judged by a reference that has neither it nor the others of its fold:
a day of a season differs truly, so these are the harder ones. The days of the months that the model
was trained on show what a season does.
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
    """Give a platform module."""
    return import_module(f"{PACKAGE}.mlops.{name}")


class Judge:
    """What a reference says of others' inputs and predictions."""

    def __init__(self, reference: pd.DataFrame, rows: int) -> None:
        """Learn from it what is usual of so many rows."""
        usual = mlops("usual")
        self.limits, self.compare = mlops("drift").Params(**section()), usual.compare
        own = usual.parts(reference["event_timestamp"], rows)
        examples, predictions = mlops("reference").split(reference)
        inputs = examples[[*mlops("contract").schema().Features.to_schema().columns]]
        self.table = pd.concat([inputs, predictions], axis=1)
        self.views = usual.views(self.table, own, rows, self.limits)

    def moved(self, rows: pd.DataFrame) -> list[str]:
        """Give the columns that moved."""
        prefix = mlops("reference").PREDICTED
        inputs = {str(name): str(name).removeprefix(prefix) for name in rows if prefix in str(name)}
        current = rows.drop(columns=[*inputs.values()], errors="ignore").rename(columns=inputs)
        found = self.compare(self.views, current, self.limits)
        return [name for name, each in found.items() if each.moved]


def section() -> dict[str, Any]:
    """Give the section `monitor` of params.yaml."""
    params, drift = mlops("params"), mlops("drift")
    found: dict[str, Any] = params.section("monitor", drift.Params, optional=True).model_dump()
    return found


def predicted(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows beside what the model says of them, as a reference has them."""
    team, files, reference = mlops("contract").model(), mlops("files"), mlops("reference")
    rows = rows.reset_index(drop=True)
    said = team.predict(team.load(files.MODEL), rows).add_prefix(reference.PREDICTED)
    return pd.concat([rows, said], axis=1)


def by_day(rows: pd.DataFrame, least: float) -> dict[str, pd.DataFrame]:
    """Give the rows of each day that has at least so many, by the day."""
    days = {str(day): part for day, part in rows.groupby(rows["event_timestamp"].dt.date)}
    return {day: part for day, part in days.items() if len(part) >= least}


def show(title: str, of: int, alarms: dict[str, list[str]]) -> None:
    """Print how many alarms there were, by what, and when."""
    columns = Counter(name for names in alarms.values() for name in names).most_common(4)
    when = f"; {', '.join([*alarms][:4])}" if len(alarms) <= 4 else ""
    by = f": {', '.join(f'{name} {count}' for name, count in columns)}{when}" if alarms else ""
    print(f"{title:34}{len(alarms):4} of {of}{by}", flush=True)


def called(judge: Judge, rows: dict[str, pd.DataFrame]) -> dict[str, list[str]]:
    """Give what moved, by name, of those rows where anything did."""
    return {name: moved for name, each in rows.items() if (moved := judge.moved(each))}


def main() -> None:
    """Measure, and print a line each."""
    warnings.simplefilter("ignore")
    test, train = (predicted(mlops("dataset").read(name)) for name in ("test", "train"))
    median = float(test["event_timestamp"].dt.date.value_counts().median())
    sample, rows = mlops("reference").sample, int(median)
    days, random = by_day(test, median / 2), np.random.default_rng(3)
    reference = sample(test)
    print(f"{PACKAGE}: {len(test):,} test rows, {len(days)} days, {rows:,} rows a day")

    judge = Judge(reference, rows)
    drawn = {str(n): reference.iloc[random.choice(len(reference), rows)] for n in range(DRAWS)}
    show("draws of the reference", DRAWS, called(judge, drawn))

    order = random.permutation([*days])
    alarms: dict[str, list[str]] = {}
    for fold in range(FOLDS):
        out = set(order[fold::FOLDS])
        kept = pd.concat([part for day, part in days.items() if day not in out], ignore_index=True)
        alarms |= called(Judge(sample(kept), rows), {day: days[day] for day in sorted(out)})
    show("days held out", len(days), alarms)

    month = train["event_timestamp"].dt.month
    for number in sorted(month.unique()):
        there = by_day(train[month == number], median / 2)
        show(f"days of month {number}, of training", len(there), called(judge, there))

    inputs = [*mlops("contract").schema().Features.to_schema().columns]
    nulls = {name: reference.head(rows).assign(**{name: None}) for name in inputs}
    found = {
        name: moved
        for name, moved in called(judge, nulls).items()
        if any(view.split(" (")[0] == name for view in moved)
    }
    show("inputs without a value, named", len(inputs), found)


if __name__ == "__main__":
    main()
