"""The team's modules keep what the platform relies on; shown on the sample of rows.

Nothing is assumed beyond mlops/contract.py: the same tests hold for every kind of model.
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
    examples = mlops("features").examples(raw, values)
    rows = examples.sample(min(SAMPLED, len(examples)), random_state=0).reset_index(drop=True)
    with mlops("store").opened() as store:
        joined = mlops("store").join(store, rows)
        views = mlops("projections").of(store, mlops("store").service(store)).views
    for one in (view for view in views if view.keys):
        source = pd.read_parquet(Path("feature_repo", one.view.batch_source.path))
        names, columns = [field.name for field in one.fields.values()], [*one.keys.values()]
        by_key = dict(tuple(source.groupby([*one.keys])))
        expected = [_latest(by_key, row, columns, one.ttl, names) for _, row in rows.iterrows()]
        wanted = pd.DataFrame(expected, columns=[*one.fields], dtype=object)
        pd.testing.assert_frame_equal(_plain(joined[[*one.fields]]), _plain(wanted))


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers and words as Python has them: a join makes fractions of whole numbers."""
    return pd.DataFrame(
        {
            name: [None if pd.isna(value) else value for value in table[name]]
            for name in table.columns
        },
        dtype=object,
    )


def _latest(
    by_key: dict[Any, pd.DataFrame], row: pd.Series, keys: list[str], ttl: pd.Timedelta, names: Any
) -> list[Any]:
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
    mlops: Any, dataset: dict[str, pd.DataFrame], raw: dict[str, pd.DataFrame]
) -> None:
    features = mlops("contract").features()
    examples = mlops("features").examples(raw, mlops("params").section("features", features.Params))
    rows = examples.iloc[::-1][["event_timestamp", *_keys(mlops)]].reset_index(drop=True)
    with mlops("store").opened() as store:
        joined = mlops("store").join(store, rows)
    pd.testing.assert_frame_equal(joined[rows.columns], rows, check_dtype=False)


def test_columns_of_any_name_and_type_survive_the_join(
    mlops: Any, dataset: dict[str, pd.DataFrame], raw: dict[str, pd.DataFrame]
) -> None:
    """Those that the join does not need do not pass through it."""
    examples = mlops("features").examples(raw, mlops("features").section())
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
    with mlops("store").opened() as store:
        joined = mlops("store").join(store, rows.set_axis([1, 1, 0]))
    pd.testing.assert_frame_equal(joined[rows.columns], rows.reset_index(drop=True))


def _keys(mlops: Any) -> list[str]:
    with mlops("store").opened() as store:
        return sorted(mlops("projections").of(store, mlops("store").service(store)).keys)


def test_predictions_keep_the_schema_and_the_index(
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
    """Words that no training row has."""
    inputs = schema.Features.to_schema().columns
    words = [name for name in inputs if pd.api.types.is_string_dtype(rows[name].dtype)]
    return rows.assign(**dict.fromkeys(words, "QQ7"))


def _missing(schema: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """One value, or all, of those that the schema lets be missing."""
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
    """Rows such as a model meets after its training."""
    return STRANGE[request.param](mlops("contract").schema(), _some(dataset))


def test_what_is_derived_of_a_row_depends_on_no_other(
    mlops: Any, raw: dict[str, pd.DataFrame]
) -> None:
    derive, contract = mlops("derive"), mlops("contract")
    if (hook := derive.hook()) is None:
        pytest.skip("features.py has no derive")
    values = mlops("params").section("features", contract.features().Params)
    rows = mlops("features").requests(raw, values).sample(20, random_state=0)
    rows = rows.drop(columns=[*derive.Derivation(hook).columns])
    alone = [derive.apply(rows.iloc[[place]], hook) for place in range(len(rows))]
    pd.testing.assert_frame_equal(pd.concat(alone), derive.apply(rows, hook), check_exact=True)


def test_a_row_alone_is_a_row_of_many_bit_for_bit(
    mlops: Any, trained: Any, strange: pd.DataFrame
) -> None:
    rows = strange.head(20)
    model = mlops("contract").model()
    for function in (model.predict, model.explain):
        alone = [function(trained, rows.iloc[[place]]) for place in range(len(rows))]
        pd.testing.assert_frame_equal(pd.concat(alone), function(trained, rows), check_exact=True)


def test_the_way_for_one_row_gives_the_same_bits(
    mlops: Any, trained: Any, strange: pd.DataFrame
) -> None:
    if not (predict := mlops("contract").row_predictor(trained)):
        pytest.skip("model.py has no row_predictor")
    columns = mlops("contract").schema().Features.to_schema().columns
    rows = _plain(strange[[*columns]]).to_dict(orient="records")
    expected = mlops("contract").model().predict(trained, strange)
    assert [predict(row) for row in rows] == _plain(expected).to_dict(orient="records")


def test_a_model_without_a_way_for_one_row_is_older_and_works(
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


def test_neither_order_nor_further_columns_matter(
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


def test_an_example_is_a_request_and_what_then_happened(
    mlops: Any, raw: dict[str, pd.DataFrame]
) -> None:
    """There may be more rows to predict than those of which the outcome is known."""
    features = mlops("contract").features()
    if not hasattr(features, "requests"):
        pytest.skip("features.py has no requests: the examples are asked for")
    values = mlops("params").section("features", features.Params)
    asked = mlops("features").requests(raw, values)
    examples = mlops("features").examples(raw, values)
    keys = [*asked]
    assert {*keys} < {*examples}
    found = examples[keys].merge(asked.drop_duplicates(), how="left", indicator="where")
    assert (found["where"] == "both").all()


def test_the_example_is_a_request_and_all_that_feast_has_may_be_missing(
    mlops: Any, trained: Any, raw: dict[str, pd.DataFrame]
) -> None:
    contract = mlops("contract")
    if not (request := contract.example()):
        pytest.skip("schema.py has no EXAMPLE")
    assert json.loads(json.dumps(request)) == request
    inputs = list(contract.schema().Features.to_schema().columns)
    with mlops("store").opened() as store:
        model = mlops("projections").of(store, mlops("store").service(store))
    served = {name for one in model.members for name in one.fields}
    derivation = mlops("derive").Derivation(mlops("derive").hook())
    assert not served & set(request), "Feast gives these"
    derivation.check(served, model.keys)
    features = contract.features()
    examples = mlops("features").examples(raw, mlops("params").section("features", features.Params))
    assert set(request) <= {*examples, *_keys(mlops)}
    (whole,) = derivation.of([request], datetime.now(UTC))
    rows = contract.schema().Features.validate(pd.DataFrame([whole]).reindex(columns=inputs))
    predictions = contract.model().predict(trained, rows)
    assert len(contract.schema().Predictions.validate(predictions)) == 1


def test_a_schema_without_an_example_is_older_and_works(
    mlops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(mlops("contract").schema(), "EXAMPLE", raising=False)
    assert mlops("contract").example() == {}


def test_what_save_writes_load_reads_and_twice_is_the_same_bytes(
    mlops: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    model, files = mlops("contract").model(), mlops("files")
    first = files.digest(files.MODEL)
    mlops("train").run()
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


@pytest.mark.parametrize("part", ["metrics.json", "slices.json", "report.html", "curves"])
def test_the_same_model_gives_the_same_reports(
    mlops: Any, trained: Any, workspace: Path, part: str
) -> None:
    path = workspace / "reports" / part
    before = {file: file.read_bytes() for file in [path, *path.rglob("*")] if file.is_file()}
    mlops("evaluate").run()
    assert before
    assert {file: file.read_bytes() for file in before} == before


def test_feast_still_checks_what_a_definition_says(mlops: Any) -> None:
    """Its constructors' checks are kept, of all that typeguard would add to it."""
    from typeguard import TypeCheckError

    feast = mlops("feast_api")
    with pytest.raises(TypeCheckError, match="dtype"):
        feast.Field(name="distance", dtype=str)
    with pytest.raises(TypeCheckError, match="entities"):
        feast.FeatureView(name="weather", entities=["origin"], source=None)
