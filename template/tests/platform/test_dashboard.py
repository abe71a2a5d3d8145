"""The dashboard's pages, drawn without a browser, whatever the model is."""

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
    """What the dashboard's way to a page does; Streamlit's tests run this text by itself."""
    from importlib import import_module

    view = import_module(f"{package}.views.{name}")
    import_module(f"{package}.navigation").drawn(view)()


@pytest.fixture
def draw(mlops: Any, workspace: Path) -> Draw:
    """Draw a page; nothing is left of what other tests were told."""
    package = mlops("dashboard").__name__

    def run(name: str) -> AppTest:
        page = AppTest.from_function(_page, kwargs={"package": package, "name": name})
        page.default_timeout = 120
        return _well(page.run())

    st.cache_data.clear()
    st.cache_resource.clear()
    return run


@pytest.fixture
def registered(mlops: Any, trained: Any) -> Any:
    """The first version, in production."""
    mlops("gate").run()
    mlops("register").run()
    return trained


def _well(page: AppTest) -> AppTest:
    assert not page.exception
    return page


def test_the_first_page_lists_all_of_them(mlops: Any, workspace: Path) -> None:
    script = Path(mlops("dashboard").__file__).with_name("app.py")
    page = _well(AppTest.from_file(str(script), default_timeout=120).run())
    views = mlops("dashboard.navigation").found()
    assert page.title[0].value == views[0].TITLE
    assert {view.__name__.rpartition(".")[2] for view in views} == {
        path.stem for path in script.parent.glob("views/[a-z]*.py")
    }


def test_another_version_is_loaded_anew(
    mlops: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mlops("dashboard.model")
    st.cache_resource.clear()
    monkeypatch.setattr(mlops("production"), "run", lambda folder: None)
    monkeypatch.setattr(mlops("artifact"), "load", lambda *_: object())
    assert model.loaded("1") is model.loaded("1") is not model.loaded("2")


@pytest.mark.parametrize("name", ["versions", "explain"])
def test_before_the_first_model_it_says_what_to_type(draw: Draw, name: str) -> None:
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
        mlops("gate").run()
    page = draw("versions")
    assert page.error[0].value == "1 of 1 rules are broken."
    assert "No model has passed the gate yet" in page.info[0].value
    table = page.dataframe[0].value
    assert [*table["version"]] == [""]
    assert [*table["gate"]] == ["failed"]

    edit_params(gate={"metrics": {name: {"min": -1e9}}})
    mlops("gate").run()
    mlops("register").run()
    st.cache_data.clear()
    page = _well(page.run())
    assert not page.error
    table = page.dataframe[0].value
    assert [*table["version"]] == ["1"]
    assert [*table["gate"]] == ["passed"]
    assert table[name][0] == pytest.approx(scores[name])
    assert [*page.dataframe[1].value["rule"]] == [name]


def test_a_row_is_explained_and_answers_an_edit(
    mlops: Any, draw: Draw, registered: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    page = draw("explain")
    number = 7
    page.number_input(key="row of the test set").set_value(number)
    _well(page.run())
    team, rows = mlops("contract").model(), dataset["test"]
    columns = [*mlops("contract").schema().Features.to_schema().columns]
    asked = rows.loc[[number], columns]
    said = [metric.value for metric in page.metric]
    assert said == _said(team.predict(registered, asked))
    assert not [metric.delta for metric in page.metric if metric.delta]

    other = _another(rows, number, columns, team, registered)
    for name in columns:
        _widget(page, f"test set/{number}/{name}").set_value(_plain(rows.loc[other, name]))
    _well(page.run())
    assert not page.info
    said = [metric.value for metric in page.metric]
    assert said == _said(team.predict(registered, rows.loc[[other], columns]))
    assert [metric.delta for metric in page.metric if metric.delta]


def test_without_the_data_it_explains_what_the_model_was_judged_on(
    mlops: Any, draw: Draw, registered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = mlops("dashboard.rows")
    for name in ("test set", "last batch"):
        monkeypatch.setitem(rows.SOURCES, name, (tmp_path, "*.parquet"))
    page = draw("explain")
    assert page.selectbox[0].options == ["reference"]
    assert page.metric


@pytest.mark.parametrize("platform", ["this", "older"])
def test_a_version_is_explained_by_the_code_that_it_was_registered_with(
    mlops: Any, draw: Draw, registered: Any, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """Its code knows no column that came later; an older platform's has no `explain`."""
    page = draw("explain")
    said, drawn = [metric.value for metric in page.metric], page.get("arrow_vega_lite_chart")
    team, schema = mlops("contract").model(), mlops("contract").schema()

    class Newer(schema.Features):  # type: ignore[misc, name-defined]
        """The inputs, and one more."""

        newer: Series[int]

    monkeypatch.setattr(schema, "Features", Newer)
    for name in ("load", "predict", "explain"):
        monkeypatch.setattr(team, name, lambda *_, name=name: pytest.fail(f"{name} was asked"))
    loaded = mlops("dashboard.model").loaded(mlops("dashboard.model").version())
    if platform == "older":
        monkeypatch.delattr(type(loaded), "explain")
    _well(page.run())
    assert [metric.value for metric in page.metric] == said
    assert len(page.get("arrow_vega_lite_chart")) == len(drawn)
    page.selectbox[0].select("reference")
    _well(page.run())
    assert page.metric
    assert not page.info


def test_rows_that_lack_what_the_model_takes_are_said(
    mlops: Any, draw: Draw, registered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(mlops("contract").schema().Features.to_schema().columns))
    older = mlops("dataset").read("test").drop(columns=name)
    mlops("tables").write(older, tmp_path / "test.parquet")
    monkeypatch.setitem(mlops("dashboard.rows").SOURCES, "test set", (tmp_path, "*.parquet"))
    page = draw("explain")
    assert name in page.info[0].value
    page.selectbox[0].select("reference")
    _well(page.run())
    assert page.metric


def test_an_input_that_the_schema_refuses_is_said(
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
    found = [n for n in names if numbers[n].notna()[0]]
    page = draw("explain")
    for name in found:
        page.number_input(key=f"test set/0/{name}").set_value(None)
    _well(page.run())
    missing = dataset["test"].head(1)[[*columns]].assign(**dict.fromkeys(found, float("nan")))
    said = [metric.value for metric in page.metric]
    assert said == _said(mlops("contract").model().predict(registered, missing))


def _another(rows: pd.DataFrame, number: int, columns: list[str], team: Any, model: Any) -> Any:
    """A row whose prediction reads differently."""
    said = team.predict(model, rows[columns])
    mine = _said(said.loc[[number]])
    return next(other for other in rows.index if _said(said.loc[[other]]) != mine)


def _said(predictions: pd.DataFrame) -> list[str]:
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
    """MLflow, where models were judged on one data set after the other."""

    def __init__(self, *models: dict[str, Any]) -> None:
        """Take the models, the latest last."""
        self.models = models

    def frame(self) -> pd.DataFrame:
        """Return what the page asks for."""
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
def test_models_of_other_test_rows_are_not_compared(
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
    asked = [box for box in page.selectbox if box.label == "Judged on"]
    assert [len(box.options) for box in asked] == ([choices] if choices else [])
    data = dict(zip(map(str, range(1, len(models) + 1)), models, strict=True))
    assert len({data[version]["data"] for points in drawn for version in points["version"]}) == 1


def test_the_same_test_rows_are_known_with_other_features(
    mlops: Any, draw: Draw, registered: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    ours, path = mlops("dataset"), mlops("files").DATASET / "test.parquet"
    (row,) = mlops("dashboard.history").runs().to_dict("records")
    assert row["data"] == ours.judged_on()
    kept, inputs = path.read_bytes(), mlops("contract").schema().Features.to_schema().columns
    name = next(name for name in dataset["test"] if name in inputs)
    try:
        mlops("tables").write(dataset["test"].drop(columns=name), path)
        assert row["data"] == ours.judged_on()
        mlops("tables").write(dataset["test"].head(-1), path)
        assert row["data"] != ours.judged_on()
    finally:
        path.write_bytes(kept)
