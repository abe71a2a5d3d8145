"""Judge the model on rows later than any it has seen: metrics, slices, curves, the report."""

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from . import contract, dataset, files, params, report, tables
from .errors import Problem

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
    """Columns of the examples; each of their values is a slice."""
    min_slice_rows: int = Field(default=500, ge=1)
    """Smaller slices say more of chance than of the model."""


def run() -> None:
    """model/ and the test rows → reports/."""
    team, metrics = contract.model(), contract.metrics()
    values = params.section("evaluate", Params)
    test, model = dataset.read("test"), team.load(files.MODEL)
    predictions = tables.framed(team.predict(model, test), "model.predict")
    if not predictions.index.equals(test.index):
        raise Problem("model.predict: the predictions have another index than `rows`: keep it")
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
    files.write_text(
        REPORT, report.render(scores, slices, curves, effects(sample, contributions), test)
    )
    print(report.table(scores))


def slice_scores(
    rows: pd.DataFrame, predictions: pd.DataFrame, values: Params, metrics: contract.Metrics
) -> dict[str, dict[str, float]]:
    """Give the metrics of each slice of enough rows, as `column=value`."""
    scores = {}
    if unknown := [name for name in values.slices if name not in rows]:
        known = ", ".join(rows.columns)
        raise Problem(f"params.yaml: evaluate.slices: no column {unknown[0]}; there are {known}")
    for column in values.slices:
        for value, part in rows.groupby(column, observed=True):
            if len(part) >= values.min_slice_rows:
                found = metrics.score(part, predictions.loc[part.index])
                scores[f"{column}={value}"] = {**found, "rows": len(part)}
    return scores


def importance(contributions: pd.DataFrame) -> pd.DataFrame:
    """Give the mean size of each feature's contribution, the largest first."""
    mean = contributions.abs().mean().sort_values(ascending=False, kind="stable")
    return pd.DataFrame({"feature": mean.index.map(str), "mean_contribution": mean.to_numpy()})


def effects(rows: pd.DataFrame, contributions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Give, for the most important features, the mean contribution by their value.

    Numbers are taken in bins of equally many rows, words as they are; a feature of more than
    `BINS` words, or that is no column of the rows, is left out.
    """
    found: dict[str, pd.DataFrame] = {}
    for name in importance(contributions)["feature"]:
        if name not in rows or name not in contributions or len(found) == EFFECTS:
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
        found[name] = effect.set_axis([name, "contribution"], axis=1)
    return found
