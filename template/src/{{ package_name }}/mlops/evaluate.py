"""Judge the model on rows later than any it has seen: metrics, slices, curves, the report."""

import json

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from . import contract, dataset, files, params, report, tables

METRICS = files.REPORTS / "metrics.json"
SLICES = files.REPORTS / "slices.json"
CURVES = files.REPORTS / "curves"
REPORT = files.REPORTS / "report.html"

EXPLAINED_ROWS = 2_000


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
    predictions = tables.check(
        team.predict(model, test), contract.schema().Predictions, "model.predict"
    )
    baselines = metrics.baselines(dataset.read("train"), test)
    scores = {
        **metrics.score(test, predictions),
        "rows": len(test),
        "baselines": {name: metrics.score(test, rows) for name, rows in baselines.items()},
    }
    slices = slice_scores(test, predictions, values, metrics)
    curves = metrics.curves(test, predictions)
    sample = test.sample(min(len(test), EXPLAINED_ROWS), random_state=0)
    curves["importance"] = importance(team.explain(model, sample))

    with files.replacing(CURVES) as folder:
        for name, curve in curves.items():
            curve.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    files.write_json(SLICES, slices)
    files.write_json(METRICS, scores)
    files.write_text(REPORT, report.render(scores, slices, curves, test))
    print(json.dumps({k: round(v, 4) for k, v in scores.items() if isinstance(v, float)}))


def slice_scores(
    rows: pd.DataFrame, predictions: pd.DataFrame, values: Params, metrics: contract.Metrics
) -> dict[str, dict[str, float]]:
    """Give the metrics of each slice of enough rows, as `column=value`."""
    scores = {}
    for column in values.slices:
        for value, part in rows.groupby(column, observed=True):
            if len(part) >= values.min_slice_rows:
                found = metrics.score(part, predictions.loc[part.index])
                scores[f"{column}={value}"] = {**found, "rows": len(part)}
    return scores


def importance(contributions: pd.DataFrame) -> pd.DataFrame:
    """Give the mean size of each feature's contribution, the largest first."""
    mean = contributions.abs().mean().sort_values(ascending=False, kind="stable")
    return pd.DataFrame({"feature": mean.index, "mean_contribution": mean.to_numpy()})
