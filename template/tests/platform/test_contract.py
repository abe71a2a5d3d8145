"""The team's modules fulfill the platform's contract, tested on the sample of rows.

The tests rely only on mlops/contract.py and so apply to every kind of model.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SAMPLED = 1_000


def test_the_sample_matches_the_schema(mlops: Any, raw: dict[str, pd.DataFrame]) -> None:
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
    """Compare Feast's join with a loop over 1,000 rows in pandas."""
    features = mlops("contract").features()
    params = mlops("params").section("features", features.Params)
    examples = mlops("data.features").examples(raw, params)
    rows = examples.sample(min(SAMPLED, len(examples)), random_state=0).reset_index(drop=True)
    with mlops("data.feature_store").opened() as store:
        joined = mlops("data.feature_store").join(store, rows)
        views = (
            mlops("data.projections")
            .resolve(store, mlops("data.feature_store").service(store))
            .views
        )
    moments = _nanoseconds(rows["event_timestamp"])
    for projection in (each for each in views if each.keys):
        source = pd.read_parquet(Path("feature_repo", projection.view.batch_source.path))
        names = [field.name for field in projection.fields.values()]
        columns = [*projection.keys.values()]
        by_key = {
            key: (_nanoseconds(table["event_timestamp"]), table[names].to_numpy(object).tolist())
            for key, table in source.groupby([*projection.keys])
        }
        asked = zip(rows[columns].itertuples(index=False, name=None), moments, strict=True)
        values = [
            _latest(by_key.get(key), moment, projection.ttl, len(names)) for key, moment in asked
        ]
        expected = pd.DataFrame(values, columns=[*projection.fields], dtype=object)
        pd.testing.assert_frame_equal(_plain(joined[[*projection.fields]]), _plain(expected))


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return numbers and words as Python objects, because a join turns integers into floats."""
    return pd.DataFrame(
        {
            name: [None if pd.isna(value) else value for value in table[name]]
            for name in table.columns
        },
        dtype=object,
    )


def _nanoseconds(times: Any) -> Any:
    return pd.to_datetime(times, utc=True).dt.as_unit("ns").astype("int64").to_numpy()


def _latest(
    known: tuple[Any, list[list[Any]]] | None, time: int, ttl: pd.Timedelta, width: int
) -> list[Any]:
    """Return the values of the latest row of a key's times and values."""
    times, values = known or (np.empty(0), [])
    fits = times <= time
    if ttl:
        fits &= times + pd.Timedelta(ttl).value >= time
    if not fits.any():
        return [np.nan] * width
    return values[np.flatnonzero(fits)[times[fits].argmax()]]


def test_the_order_of_examples_survives_the_join(
    mlops: Any, dataset: dict[str, pd.DataFrame], raw: dict[str, pd.DataFrame]
) -> None:
    features = mlops("contract").features()
    examples = mlops("data.features").examples(
        raw, mlops("params").section("features", features.Params)
    )
    rows = examples.iloc[::-1][["event_timestamp", *_keys(mlops)]].reset_index(drop=True)
    with mlops("data.feature_store").opened() as store:
        joined = mlops("data.feature_store").join(store, rows)
    pd.testing.assert_frame_equal(joined[rows.columns], rows, check_dtype=False)


def test_columns_of_any_name_and_type_survive_the_join(
    mlops: Any, dataset: dict[str, pd.DataFrame], raw: dict[str, pd.DataFrame]
) -> None:
    """Columns that the join does not need are not passed to Feast."""
    examples = mlops("data.features").examples(raw, mlops("data.features").section())
    rows = examples[["event_timestamp", *_keys(mlops)]].head(3)
    moment = pd.Timestamp("2013-01-01 00:00:00.123456789")
    values = {
        "row": [1, 2, 3],
        "entity_row_id": ["a", "b", "c"],
        f"{rows.columns[-1]}_y": pd.array([1, None, 3], dtype="Int64"),
        "nanoseconds": moment,
        "half": np.array([0.5, 1, 2], "float16"),
        "kind": pd.Categorical(["a", None, "b"]),
        "many": [[1], [], None],
        "period": pd.Period("2013"),
    }
    rows = rows.assign(**values)
    with mlops("data.feature_store").opened() as store:
        joined = mlops("data.feature_store").join(store, rows.set_axis([1, 1, 0]))
    pd.testing.assert_frame_equal(joined[rows.columns], rows.reset_index(drop=True))


def _keys(mlops: Any) -> list[str]:
    with mlops("data.feature_store").opened() as store:
        return sorted(
            mlops("data.projections")
            .resolve(store, mlops("data.feature_store").service(store))
            .keys
        )


def test_predictions_match_the_schema_and_keep_the_index(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    rows = _some(dataset)
    predictions = mlops("contract").model().predict(trained, rows)
    mlops("contract").schema().Predictions.validate(predictions)
    assert predictions.index.equals(rows.index)


def _some(dataset: dict[str, pd.DataFrame]) -> pd.DataFrame:
    test = dataset["test"]
    return test.sample(min(100, len(test)), random_state=0)


def _unseen(schema: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Replace words by one that no training row contains."""
    inputs = schema.Features.to_schema().columns
    words = [name for name in inputs if pd.api.types.is_string_dtype(rows[name].dtype)]
    return rows.assign(**dict.fromkeys(words, "QQ7"))


def _missing(schema: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Set one nullable value per row to missing, and all of them in some rows."""
    columns = schema.Features.to_schema().columns
    optional = [name for name, column in columns.items() if column.nullable]
    table = rows.copy()
    for place, name in enumerate(optional):
        gone = (np.arange(len(rows)) % (len(optional) + 1) == place) | (np.arange(len(rows)) < 3)
        table[name] = table[name].mask(gone)
    return table


STRANGE: dict[str, Callable[[Any, pd.DataFrame], pd.DataFrame]] = {
    "plain": lambda _, rows: rows,
    "unseen": _unseen,
    "missing": _missing,
}


@pytest.fixture(params=STRANGE)
def strange(
    request: pytest.FixtureRequest, mlops: Any, dataset: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Rows such as a model sees in production."""
    return STRANGE[request.param](mlops("contract").schema(), _some(dataset))


def test_derived_columns_depend_on_no_other_row(mlops: Any, raw: dict[str, pd.DataFrame]) -> None:
    derive, contract = mlops("derive"), mlops("contract")
    if (hook := derive.hook()) is None:
        pytest.skip("features.py has no derive")
    values = mlops("params").section("features", contract.features().Params)
    rows = mlops("data.features").requests(raw, values).sample(20, random_state=0)
    rows = rows.drop(columns=[*derive.Derivation(hook).columns])
    alone = [derive.apply(rows.iloc[[place]], hook) for place in range(len(rows))]
    pd.testing.assert_frame_equal(pd.concat(alone), derive.apply(rows, hook), check_exact=True)


def test_single_row_results_equal_a_tables_bit_for_bit(
    mlops: Any, trained: Any, strange: pd.DataFrame
) -> None:
    rows = strange.head(20)
    model = mlops("contract").model()
    for function in (model.predict, model.explain):
        alone = [function(trained, rows.iloc[[place]]) for place in range(len(rows))]
        pd.testing.assert_frame_equal(pd.concat(alone), function(trained, rows), check_exact=True)


def test_the_row_predictor_gives_the_same_bits(
    mlops: Any, trained: Any, strange: pd.DataFrame
) -> None:
    if not (predict := mlops("contract").row_predictor(trained)):
        pytest.skip("model.py has no row_predictor")
    columns = mlops("contract").schema().Features.to_schema().columns
    rows = _plain(strange[[*columns]]).to_dict(orient="records")
    expected = mlops("contract").model().predict(trained, strange)
    assert [predict(row) for row in rows] == _plain(expected).to_dict(orient="records")


def test_an_older_model_without_a_row_predictor_works(
    mlops: Any, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(mlops("contract").model(), "row_predictor", raising=False)
    assert mlops("contract").row_predictor(trained) is None


def test_strange_rows_are_predicted_and_explained(
    mlops: Any, trained: Any, strange: pd.DataFrame
) -> None:
    contract = mlops("contract")
    predictions = contract.model().predict(trained, strange)
    contract.schema().Predictions.validate(predictions)
    assert predictions.index.equals(strange.index)
    contributions = contract.model().explain(trained, strange)
    assert contributions.index.equals(strange.index)
    assert set(contributions) == set(contract.schema().Features.to_schema().columns)
    assert np.isfinite(contributions.to_numpy()).all()


def test_no_rows_give_no_predictions(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    contract, none = mlops("contract"), dataset["test"].head(0)
    predictions = contract.model().predict(trained, none)
    assert predictions.empty
    contract.schema().Predictions.validate(predictions)


def test_row_order_and_extra_columns_do_not_matter(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    model, rows = mlops("contract").model(), _some(dataset)
    further = pd.DataFrame(
        np.ones((len(rows), 10_000)), index=rows.index, columns=[f"x{n}" for n in range(10_000)]
    )
    shuffled = rows.sample(frac=1, random_state=1)
    for function in (model.predict, model.explain):
        expected = function(trained, rows)
        wide = function(trained, pd.concat([further, rows], axis=1))
        pd.testing.assert_frame_equal(wide, expected, check_exact=True)
        turned = function(trained, shuffled)
        assert turned.index.equals(shuffled.index)
        pd.testing.assert_frame_equal(turned.loc[rows.index], expected, check_exact=True)


def test_examples_are_requests_with_their_outcomes(
    mlops: Any, raw: dict[str, pd.DataFrame]
) -> None:
    """There may be rows to predict whose outcome is not known yet."""
    features = mlops("contract").features()
    if not hasattr(features, "requests"):
        pytest.skip("features.py has no requests: the examples are predicted")
    values = mlops("params").section("features", features.Params)
    requests = mlops("data.features").requests(raw, values)
    examples = mlops("data.features").examples(raw, values)
    keys = [*requests]
    assert {*keys} < {*examples}
    merged = examples[keys].merge(requests.drop_duplicates(), how="left", indicator="where")
    assert (merged["where"] == "both").all()


def test_the_example_is_a_request_that_needs_nothing_from_feast(
    mlops: Any, trained: Any, raw: dict[str, pd.DataFrame]
) -> None:
    contract = mlops("contract")
    if not (request := contract.example()):
        pytest.skip("schema.py has no EXAMPLE")
    assert json.loads(json.dumps(request)) == request
    inputs = list(contract.schema().Features.to_schema().columns)
    with mlops("data.feature_store").opened() as store:
        model = mlops("data.projections").resolve(store, mlops("data.feature_store").service(store))
    served = {name for view in model.members for name in view.fields}
    derivation = mlops("derive").Derivation(mlops("derive").hook())
    assert not served & set(request), "Feast provides these"
    derivation.check(served, model.keys)
    features = contract.features()
    examples = mlops("data.features").examples(
        raw, mlops("params").section("features", features.Params)
    )
    assert set(request) <= {*examples, *_keys(mlops)}
    (row,) = derivation.apply([request], datetime.now(UTC))
    rows = contract.schema().Features.validate(pd.DataFrame([row]).reindex(columns=inputs))
    predictions = contract.model().predict(trained, rows)
    assert len(contract.schema().Predictions.validate(predictions)) == 1


def test_an_older_schema_without_an_example_works(
    mlops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(mlops("contract").schema(), "EXAMPLE", raising=False)
    assert mlops("contract").example() == {}


def test_a_saved_model_can_be_loaded_and_training_is_reproducible(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    model, files = mlops("contract").model(), mlops("files")
    first = files.digest(files.MODEL)
    mlops("training.train").run()
    assert files.digest(files.MODEL) == first
    pd.testing.assert_frame_equal(
        model.predict(model.load(files.MODEL), dataset["test"]),
        model.predict(trained, dataset["test"]),
        check_exact=True,
    )


def test_scores_and_curves_are_numbers(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    metrics, test = mlops("contract").metrics(), dataset["test"]
    predictions = mlops("contract").model().predict(trained, test)
    scores = metrics.score(test, predictions)
    assert all(isinstance(value, float) and np.isfinite(value) for value in scores.values())
    for curve in metrics.curves(test, predictions).values():
        assert curve.shape[1] >= 2
        assert len(curve)
    for baseline in metrics.baselines(dataset["train"], test).values():
        mlops("contract").schema().Predictions.validate(baseline)
        assert baseline.index.equals(test.index)


@pytest.fixture(scope="module")
def reports(mlops: Any, trained: Any, workspace: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The contents of reports/ by path, before and after another evaluation of the same model."""

    def contents() -> dict[str, bytes]:
        folder = workspace / "reports"
        files = (file for file in folder.rglob("*") if file.is_file())
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}

    before = contents()
    mlops("training.evaluate").run()
    return before, contents()


@pytest.mark.parametrize("part", ["metrics.json", "slices.json", "report.html", "curves"])
def test_the_same_model_gives_the_same_reports(
    reports: tuple[dict[str, bytes], dict[str, bytes]], part: str
) -> None:
    before, after = reports
    names = [name for name in before if name.partition("/")[0] == part]
    assert names
    assert [name for name in names if after.get(name) != before[name]] == []


def test_feast_still_checks_definitions(mlops: Any) -> None:
    """Typeguard's checks of Feast's constructors are kept."""
    from typeguard import TypeCheckError

    feast = mlops("data.feast_api")
    with pytest.raises(TypeCheckError, match="dtype"):
        feast.Field(name="distance", dtype=str)
    with pytest.raises(TypeCheckError, match="entities"):
        feast.FeatureView(name="weather", entities=["origin"], source=None)
