"""The team's modules keep what the platform relies on; shown on the sample of rows."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SAMPLED = 1_000


def test_the_sample_keeps_the_schema(mlops: Any, raw: dict[str, pd.DataFrame]) -> None:
    schemas = mlops("contract").schema().RAW
    assert set(raw) == set(schemas)
    for name, table in raw.items():
        mlops("tables").check(table, schemas[name], name)


def test_the_splits_follow_each_other(dataset: dict[str, pd.DataFrame]) -> None:
    spans = [part["event_timestamp"].agg(["min", "max"]) for part in dataset.values()]
    assert all(earlier["max"] < later["min"] for earlier, later in pairwise(spans))


def test_the_join_takes_the_latest_row_that_was_known(
    mlops: Any, dataset: dict[str, pd.DataFrame], raw: dict[str, pd.DataFrame]
) -> None:
    """Feast's join against a loop over 1,000 rows in pandas."""
    features = mlops("contract").features()
    values = mlops("params").section("features", features.Params)
    examples = features.examples(raw, values)
    rows = examples.sample(min(SAMPLED, len(examples)), random_state=0).reset_index(drop=True)
    with mlops("store").opened() as store:
        joined = mlops("store").join(store, rows)
        views = [
            store.get_feature_view(projection.name)
            for projection in mlops("store").service(store).feature_view_projections
        ]
    assert views
    for view in views:
        source = pd.read_parquet(Path("feature_repo", view.batch_source.path))
        names = [field.name for field in view.features]
        by_key = dict(tuple(source.groupby(view.join_keys)))
        expected = [
            _latest(by_key, row, view.join_keys, view.ttl, names) for _, row in rows.iterrows()
        ]
        pd.testing.assert_frame_equal(
            joined[names].astype(float), pd.DataFrame(expected, columns=names).astype(float)
        )


def _latest(
    by_key: dict[Any, pd.DataFrame], row: pd.Series, keys: list[str], ttl: pd.Timedelta, names: Any
) -> list[float]:
    table = by_key.get(tuple(row[keys]))
    if table is None:
        return [np.nan] * len(names)
    when = row["event_timestamp"]
    known = table[table["event_timestamp"] <= when]
    if ttl:
        known = known[known["event_timestamp"] + ttl >= when]
    if known.empty:
        return [np.nan] * len(names)
    return list(known.loc[known["event_timestamp"].idxmax(), names])


def test_the_order_of_examples_survives_the_join(
    mlops: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    rows = dataset["test"].iloc[::-1][["event_timestamp", *_keys(mlops)]].reset_index(drop=True)
    with mlops("store").opened() as store:
        joined = mlops("store").join(store, rows)
    pd.testing.assert_frame_equal(joined[rows.columns], rows, check_dtype=False)


def _keys(mlops: Any) -> list[str]:
    with mlops("store").opened() as store:
        return sorted({key for view in store.list_feature_views() for key in view.join_keys})


def test_predictions_keep_the_schema_and_the_index(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    rows = dataset["test"].sample(100, random_state=0)
    predictions = mlops("contract").model().predict(trained, rows)
    mlops("contract").schema().Predictions.validate(predictions)
    assert predictions.index.equals(rows.index)


def test_a_row_alone_is_a_row_of_many(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    model, rows = mlops("contract").model(), dataset["test"].head(20)
    alone = pd.concat([model.predict(trained, rows.iloc[[place]]) for place in range(len(rows))])
    pd.testing.assert_frame_equal(alone, model.predict(trained, rows), check_exact=True)


def test_what_save_writes_load_reads_and_twice_is_the_same_bytes(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    model, files = mlops("contract").model(), mlops("files")
    folder = tmp_path / "again"
    folder.mkdir()
    values = mlops("params").section("model", model.Params)
    again = model.train(dataset["train"], dataset["valid"], values)
    model.save(again, folder)
    assert files.digest(folder) == files.digest(files.MODEL)
    pd.testing.assert_frame_equal(
        model.predict(model.load(folder), dataset["test"]),
        model.predict(trained, dataset["test"]),
        check_exact=True,
    )


def test_every_input_is_explained(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    rows = dataset["test"].head(50)
    contributions = mlops("contract").model().explain(trained, rows)
    assert contributions.index.equals(rows.index)
    assert set(contributions) == set(mlops("contract").schema().Features.to_schema().columns)
    assert np.isfinite(contributions.to_numpy()).all()


def test_scores_and_curves_are_numbers(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    metrics, test = mlops("contract").metrics(), dataset["test"]
    predictions = mlops("contract").model().predict(trained, test)
    assert all(isinstance(value, float) for value in metrics.score(test, predictions).values())
    for curve in metrics.curves(test, predictions).values():
        assert curve.shape[1] >= 2
        assert len(curve)
    for baseline in metrics.baselines(dataset["train"], test).values():
        mlops("contract").schema().Predictions.validate(baseline)
        assert baseline.index.equals(test.index)


@pytest.mark.parametrize("part", ["metrics.json", "slices.json", "report.html", "curves"])
def test_the_same_model_gives_the_same_reports(
    mlops: Any, trained: Any, workspace: Path, part: str
) -> None:
    path = workspace / "reports" / part
    before = {file: file.read_bytes() for file in [path, *path.rglob("*")] if file.is_file()}
    mlops("evaluate").run()
    assert before
    assert {file: file.read_bytes() for file in before} == before
