"""Evaluate the model on rows later than any it was trained on, and write the report."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from .. import contract, files, params, reporting, tables
from ..data import dataset
from ..errors import Problem

SLICES = files.REPORTS / "slices.json"
CURVES = files.REPORTS / "curves"
REPORT = files.REPORTS / "report.html"

EXPLAINED_ROWS = 2_000
EFFECTS = 4
BINS = 20


class Params(BaseModel):
    """The section `evaluate` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    slices: list[str] = []
    """Columns of the examples; each value of a column is a slice."""
    min_slice_rows: int = Field(default=500, ge=1)
    """Slices with fewer rows are left out: their metrics are mostly noise."""


def run() -> None:
    """Evaluate model/ on the test rows and write reports/."""
    team, metrics = contract.model(), contract.metrics()
    values = params.section("evaluate", Params)
    test, model = dataset.read("test"), team.load(files.MODEL)
    predictions = tables.framed(team.predict(model, test), "model.predict")
    if not predictions.index.equals(test.index):
        raise Problem("model.predict: the predictions must keep the index of `rows`")
    predictions = tables.check(predictions, contract.schema().Predictions, "model.predict")
    baselines = metrics.baselines(dataset.read("train"), test)
    scores = {
        **metrics.score(test, predictions),
        "rows": len(test),
        "baselines": {name: metrics.score(test, rows) for name, rows in baselines.items()},
    }
    slices = slice_scores(test, predictions, values, metrics)
    curves = metrics.curves(test, predictions)
    sample = test.sample(min(len(test), EXPLAINED_ROWS), random_state=0)
    contributions = team.explain(model, sample)
    curves["importance"] = importance(contributions)

    with files.replacing(CURVES) as folder:
        for name, curve in curves.items():
            curve.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    files.write_json(SLICES, slices)
    files.write_json(files.METRICS, scores)
    files.write_text(REPORT, report(scores, slices, curves, effects(sample, contributions), test))
    print(reporting.table(scores))


def report(
    scores: Mapping[str, Any],
    slices: Mapping[str, Mapping[str, float]],
    curves: Mapping[str, pd.DataFrame],
    effects: Mapping[str, pd.DataFrame],
    rows: pd.DataFrame,
) -> str:
    """Return the report: metrics of model and baselines, curves, feature effects, slices."""
    times = rows["event_timestamp"]
    return reporting.render(
        "training/report.html.j2",
        metrics=reporting.names(scores),
        models={"model": scores, **scores["baselines"]},
        slices=slices,
        pictures=[
            reporting.picture(name, curve) for name, curve in curves.items() if name != "importance"
        ],
        moves=[
            reporting.picture("importance", curves["importance"]),
            *(reporting.picture(name, effect) for name, effect in effects.items()),
        ],
        rows=f"{len(rows):,}",
        since=times.min().date(),
        until=times.max().date(),
    )


def slice_scores(
    rows: pd.DataFrame, predictions: pd.DataFrame, values: Params, metrics: contract.Metrics
) -> dict[str, dict[str, float]]:
    """Return the metrics of each slice by `column=value`, without slices of too few rows."""
    scores = {}
    if unknown := [name for name in values.slices if name not in rows]:
        columns = ", ".join(rows.columns)
        raise Problem(f"params.yaml: evaluate.slices: no column {unknown[0]}; there are {columns}")
    for column in values.slices:
        for value, part in rows.groupby(column, observed=True):
            if len(part) >= values.min_slice_rows:
                part_scores = metrics.score(part, predictions.loc[part.index])
                scores[f"{column}={value}"] = {**part_scores, "rows": len(part)}
    return scores


def importance(contributions: pd.DataFrame) -> pd.DataFrame:
    """Return the mean absolute contribution of each feature, largest first."""
    mean = contributions.abs().mean().sort_values(ascending=False, kind="stable")
    return pd.DataFrame({"feature": mean.index.map(str), "mean_contribution": mean.to_numpy()})


def effects(rows: pd.DataFrame, contributions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the mean contribution by value of each of the most important features.

    Numbers are grouped into bins with equal numbers of rows. A feature is left out if it has more
    than `BINS` different texts or is not a column of the rows.
    """
    by_feature: dict[str, pd.DataFrame] = {}
    for name in importance(contributions)["feature"]:
        if name not in rows or name not in contributions or len(by_feature) == EFFECTS:
            continue
        values = tables.finite(rows[name])
        table = pd.DataFrame({"value": values, "contribution": contributions[name]}).dropna()
        number = pd.api.types.is_numeric_dtype(values)
        table["value"] = table["value"].astype(float) if number else tables.texts(table["value"])
        if number and table["value"].nunique() > BINS:
            bins = pd.qcut(table["value"], BINS, labels=False, duplicates="drop")
            effect = table.groupby(bins, observed=True).mean()
        elif 1 < table["value"].nunique() <= BINS:
            mean = table.groupby("value", observed=True).mean().reset_index()
            by = "value" if number else "contribution"
            effect = mean.sort_values(by, ascending=number, kind="stable")
        else:
            continue
        by_feature[name] = effect.set_axis([name, "contribution"], axis=1)
    return by_feature
