"""The dashboard's pages, drawn without a browser, for any type of model."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from pandera.typing.pandas import Series
from streamlit.testing.v1 import AppTest

Draw = Callable[[str], AppTest]


def _page(package: str, name: str) -> None:
    """Draw a page as navigation does; Streamlit runs this source text on its own."""
    from importlib import import_module

    view = import_module(f"{package}.views.{name}")
    import_module(f"{package}.navigation").drawn(view)()


@pytest.fixture(scope="module")
def registry(workspace: Path, new_database: Path) -> Path:
    """Add an empty registry."""
    return shutil.copytree(new_database, workspace / ".mlflow")


@pytest.fixture
def draw(mlops: Any, registry: Path) -> Draw:
    """Draw a page, with no results of other tests but the models they loaded."""
    package = mlops("dashboard").__name__

    def run(name: str) -> AppTest:
        page = AppTest.from_function(_page, kwargs={"package": package, "name": name})
        page.default_timeout = 120
        return _without_exception(page.run())

    st.cache_data.clear()
    return run


@pytest.fixture(scope="module")
def registered(mlops: Any, registry: Path, trained: Any) -> Any:
    """Register the first version, which is then in production."""
    mlops("training.gate").run()
    mlops("training.register").run()
    return trained


def _without_exception(page: AppTest) -> AppTest:
    assert not page.exception
    return page


def test_the_navigation_lists_every_page(mlops: Any, registry: Path) -> None:
    script = Path(mlops("dashboard").__file__).with_name("app.py")
    page = _without_exception(AppTest.from_file(str(script), default_timeout=120).run())
    views = mlops("dashboard.navigation").pages()
    assert page.title[0].value == views[0].TITLE
    assert {view.__name__.rpartition(".")[2] for view in views} == {
        path.stem for path in script.parent.glob("views/[a-z]*.py")
    }


def test_each_version_is_loaded_once(
    mlops: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mlops("dashboard.model")
    st.cache_resource.clear()
    monkeypatch.setattr(mlops("registry.fetch"), "run", lambda folder: None)
    monkeypatch.setattr(mlops("registry.loading"), "load", lambda *_: object())
    assert model.loaded("1") is model.loaded("1") is not model.loaded("2")
    st.cache_resource.clear()


@pytest.mark.parametrize("name", ["versions", "explain"])
def test_before_the_first_model_it_shows_the_command_to_run(draw: Draw, name: str) -> None:
    page = draw(name)
    assert "make pipeline" in page.info[0].value
    assert not page.metric


def test_versions_shows_the_metrics_and_the_verdict(
    mlops: Any, draw: Draw, trained: Any, edit_params: Any
) -> None:
    scores = mlops("files").read_json(mlops("files").METRICS)
    name = next(name for name, value in scores.items() if isinstance(value, float))
    edit_params(gate={"metrics": {name: {"min": 1e9}}})
    with pytest.raises(mlops("errors").Problem):
        mlops("training.gate").run()
    page = draw("versions")
    assert page.error[0].value == "1 of 1 rules are broken."
    assert "No model has passed the gate yet" in page.info[0].value
    table = page.dataframe[0].value
    assert [*table["version"]] == [""]
    assert [*table["gate"]] == ["failed"]

    edit_params(gate={"metrics": {name: {"min": -1e9}}})
    mlops("training.gate").run()
    mlops("training.register").run()
    st.cache_data.clear()
    page = _without_exception(page.run())
    assert not page.error
    table = page.dataframe[0].value
    assert [*table["version"]] == ["1"]
    assert [*table["gate"]] == ["passed"]
    assert table[name][0] == pytest.approx(scores[name])
    assert [*page.dataframe[1].value["rule"]] == [name]


def test_a_row_is_explained_and_an_edit_updates_the_prediction(
    mlops: Any, draw: Draw, registered: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    page = draw("explain")
    number = 7
    page.number_input(key="row of the test set").set_value(number)
    _without_exception(page.run())
    team, rows = mlops("contract").model(), dataset["test"]
    columns = [*mlops("contract").schema().Features.to_schema().columns]
    row = rows.loc[[number], columns]
    shown = [metric.value for metric in page.metric]
    assert shown == _formatted(team.predict(registered, row))
    assert not [metric.delta for metric in page.metric if metric.delta]

    other = _another(rows, number, columns, team, registered)
    for name in columns:
        _widget(page, f"test set/{number}/{name}").set_value(_plain(rows.loc[other, name]))
    _without_exception(page.run())
    assert not page.info
    shown = [metric.value for metric in page.metric]
    assert shown == _formatted(team.predict(registered, rows.loc[[other], columns]))
    assert [metric.delta for metric in page.metric if metric.delta]


def test_without_the_data_it_explains_the_models_reference_rows(
    mlops: Any, draw: Draw, registered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = mlops("dashboard.rows")
    for name in ("test set", "last batch"):
        monkeypatch.setitem(rows.SOURCES, name, (tmp_path, "*.parquet"))
    page = draw("explain")
    assert page.selectbox[0].options == ["reference"]
    assert page.metric


@pytest.mark.parametrize("platform", ["this", "older"])
def test_a_version_is_explained_by_its_registered_code(
    mlops: Any, draw: Draw, registered: Any, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """This code lacks columns that were added later; code of older platforms has no `explain`."""
    page = draw("explain")
    shown, charts = [metric.value for metric in page.metric], page.get("arrow_vega_lite_chart")
    team, schema = mlops("contract").model(), mlops("contract").schema()

    class Newer(schema.Features):  # type: ignore[misc, name-defined]
        """The inputs and one more."""

        newer: Series[int]

    monkeypatch.setattr(schema, "Features", Newer)
    for name in ("load", "predict", "explain"):
        monkeypatch.setattr(team, name, lambda *_, name=name: pytest.fail(f"{name} was called"))
    loaded = mlops("dashboard.model").loaded(mlops("dashboard.model").version())
    if platform == "older":
        monkeypatch.delattr(type(loaded), "explain")
    _without_exception(page.run())
    assert [metric.value for metric in page.metric] == shown
    assert len(page.get("arrow_vega_lite_chart")) == len(charts)
    page.selectbox[0].select("reference")
    _without_exception(page.run())
    assert page.metric
    assert not page.info


def test_missing_model_inputs_are_reported(
    mlops: Any, draw: Draw, registered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(mlops("contract").schema().Features.to_schema().columns))
    older = mlops("data.dataset").read("test").drop(columns=name)
    mlops("tables").write(older, tmp_path / "test.parquet")
    monkeypatch.setitem(mlops("dashboard.rows").SOURCES, "test set", (tmp_path, "*.parquet"))
    page = draw("explain")
    assert name in page.info[0].value
    page.selectbox[0].select("reference")
    _without_exception(page.run())
    assert page.metric


def test_an_input_that_breaks_the_schema_is_reported(
    mlops: Any, draw: Draw, registered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = mlops("contract").schema().Features.to_schema().columns
    name = next(name for name, column in columns.items() if not column.nullable)
    monkeypatch.setattr(
        mlops("dashboard.inputs"), "edit", lambda row, *_: {**row.to_dict(), name: None}
    )
    page = draw("explain")
    assert name in page.info[0].value
    assert not page.metric


def test_a_number_that_may_be_missing_can_be_cleared(
    mlops: Any, draw: Draw, registered: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    columns = mlops("contract").schema().Features.to_schema().columns
    numbers = dataset["test"].select_dtypes("number")
    names = [str(n) for n in numbers if n in columns and columns[n].nullable]
    present = [n for n in names if numbers[n].notna()[0]]
    page = draw("explain")
    for name in present:
        page.number_input(key=f"test set/0/{name}").set_value(None)
    _without_exception(page.run())
    missing = dataset["test"].head(1)[[*columns]].assign(**dict.fromkeys(present, float("nan")))
    shown = [metric.value for metric in page.metric]
    assert shown == _formatted(mlops("contract").model().predict(registered, missing))


def _another(rows: pd.DataFrame, number: int, columns: list[str], team: Any, model: Any) -> Any:
    """Return the index of a row whose prediction is displayed differently."""
    predictions = team.predict(model, rows[columns])
    shown = _formatted(predictions.loc[[number]])
    return next(other for other in rows.index if _formatted(predictions.loc[[other]]) != shown)


def _formatted(predictions: pd.DataFrame) -> list[str]:
    values = predictions.iloc[0]
    return [f"{v:.4g}" if pd.api.types.is_float(v) else str(v) for v in values]


def _plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _widget(page: AppTest, key: str) -> Any:
    kinds = (page.number_input, page.selectbox, page.toggle, page.text_area)
    return next(widget for kind in kinds for widget in kind if widget.key == key)


class Runs:
    """A fake of MLflow, with models that were tested on different datasets."""

    def __init__(self, *models: dict[str, Any]) -> None:
        """Take the models, the latest last."""
        self.models = models

    def frame(self) -> pd.DataFrame:
        """Return the runs in the form of `history.runs`."""
        about = {"gate": "passed", "commit": "abc", "engine": "dvc", "aliases": [], "rows": 10.0}
        rows = [
            about
            | {
                "version": str(n),
                "run": f"r{n}",
                "trained": pd.Timestamp(f"2026-01-{n:02}", tz="UTC"),
            }
            | model
            for n, model in enumerate(self.models, 1)
        ]
        rows[-1]["aliases"] = ["champion"]
        return pd.DataFrame(rows[::-1])


@pytest.mark.parametrize(
    ("models", "deltas", "choices"),
    [
        ([{"data": "a", "auc": 0.5}, {"data": "a", "auc": 0.7}], ["+0.2000"], 0),
        ([{"data": "a", "auc": 0.5}, {"data": "b", "auc": 0.7}], [""], 2),
        ([{"data": "a", "mae": 9.0}, {"data": "b", "auc": 0.7}], [""], 2),
        ([{"data": "a", "mae": 9.0}, {"data": "a", "auc": 0.7}], [""], 0),
        (
            [{"data": "a", "auc": 0.5}, {"data": "b", "auc": 0.1}, {"data": "a", "auc": 0.7}],
            ["+0.2000"],
            2,
        ),
        ([{"data": "a", "auc": 0.5}, {"data": "a", "auc": float("nan")}], [], 0),
    ],
)
def test_models_tested_on_other_rows_are_not_compared(
    mlops: Any,
    draw: Draw,
    monkeypatch: pytest.MonkeyPatch,
    models: list[dict[str, Any]],
    deltas: list[str],
    choices: int,
) -> None:
    history, charts = mlops("dashboard.history"), mlops("dashboard.charts")
    drawn: list[pd.DataFrame] = []
    over_time = charts.over_time

    def keep(points: pd.DataFrame, metric: str) -> Any:
        drawn.append(points)
        return over_time(points, metric)

    monkeypatch.setattr(history, "runs", Runs(*models).frame)
    monkeypatch.setattr(history, "verdicts", lambda _: pd.DataFrame({"rule": []}))
    monkeypatch.setattr(charts, "over_time", keep)
    page = draw("versions")
    assert [metric.delta for metric in page.metric] == deltas
    assert not [metric for metric in page.metric if "nan" in metric.value]
    boxes = [box for box in page.selectbox if box.label == "Tested on"]
    assert [len(box.options) for box in boxes] == ([choices] if choices else [])
    data = dict(zip(map(str, range(1, len(models) + 1)), models, strict=True))
    assert len({data[version]["data"] for points in drawn for version in points["version"]}) == 1


def test_the_same_test_rows_are_recognized_with_other_features(
    mlops: Any, draw: Draw, registered: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    dataset_module, path = mlops("data.dataset"), mlops("files").DATASET / "test.parquet"
    (row,) = mlops("dashboard.history").runs().to_dict("records")
    assert row["data"] == dataset_module.judged_on()
    content, inputs = path.read_bytes(), mlops("contract").schema().Features.to_schema().columns
    name = next(name for name in dataset["test"] if name in inputs)
    try:
        mlops("tables").write(dataset["test"].drop(columns=name), path)
        assert row["data"] == dataset_module.judged_on()
        mlops("tables").write(dataset["test"].head(-1), path)
        assert row["data"] != dataset_module.judged_on()
    finally:
        path.write_bytes(content)
