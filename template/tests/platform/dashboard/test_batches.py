"""The dashboard's pages on published batches, drawn without a browser."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import streamlit as st
from deltalake import write_deltalake
from streamlit.testing.v1 import AppTest


def _page(package: str, name: str) -> None:
    from importlib import import_module

    view = import_module(f"{package}.views.{name}")
    import_module(f"{package}.navigation").drawn(view)()


@pytest.fixture
def draw(mlops: Any, trained: Any) -> Callable[[str], AppTest]:
    package = mlops("dashboard").__name__

    def run(name: str) -> AppTest:
        st.cache_data.clear()
        page = AppTest.from_function(_page, kwargs={"package": package, "name": name})
        page.default_timeout = 120
        page.run()
        assert not page.exception
        return page

    return run


@pytest.mark.parametrize("name", ["batch", "drift"])
def test_before_the_first_batch_it_shows_the_command_to_run(draw: Any, name: str) -> None:
    assert "make batch" in draw(name).info[0].value


def test_the_days_that_were_published_are_shown(
    mlops: Any, draw: Any, trained: Any, dataset: dict[str, pd.DataFrame]
) -> None:
    predictions = mlops("contract").model().predict(trained, dataset["test"])
    for day, rows in ((date(2013, 2, 1), 40), (date(2013, 2, 2), 25)):
        fixed = {"model_version": "1", "date": day}
        table = pa.Table.from_pandas(predictions.head(rows).assign(**fixed), preserve_index=False)
        write_deltalake(
            mlops("settings").settings().predictions, table, mode="append", partition_by=["date"]
        )
    page = draw("batch")
    assert page.selectbox[0].options == ["2013-02-02", "2013-02-01"]
    assert page.caption[0].value == "25 predictions of version 1"
    page.selectbox[0].select("2013-02-01").run()
    assert page.caption[0].value == "40 predictions of version 1"


def test_counts_include_every_row(mlops: Any) -> None:
    counts = mlops("dashboard.views.batch").counts
    for values in ([1.5, 2.0, 9.0], [True, False, True], ["a", "b", "a"]):
        assert counts(pd.Series(values))["rows"].sum() == 3


@pytest.mark.parametrize(
    ("judged", "moved", "shown"),
    [(False, [], "info"), (True, [], "success"), (True, ["temp is all missing"], "warning")],
)
def test_drift_is_reported(
    mlops: Any, draw: Any, judged: bool, moved: list[str], shown: str
) -> None:
    view = mlops("dashboard.views.drift")
    result = {"date": "2013-02-02", "version": 1, "rows": 25, "judged": judged, "moved": moved}
    inputs = {"temp": {"distance": 0.5, "bound": 0.2, "moved": "".join(moved)}}
    mlops("files").write_json(
        view.FOUND, result | {"inputs": inputs, "predictions": {}, "quality": {}}
    )
    page = draw("drift")
    assert len(page.get(shown)) == 1
    assert all(line in page.get(shown)[0].value for line in moved)
    assert [*page.dataframe[0].value.index] == ["temp"]
    view.FOUND.unlink()
