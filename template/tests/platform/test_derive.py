"""features.derive is the one place that computes columns from what a client sends."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest


@pytest.fixture
def features(mlops: Any) -> Any:
    return mlops("contract").features()


def test_training_and_batch_have_the_derived_columns(
    mlops: Any, features: Any, raw: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    params, stage = mlops("params").section("features", features.Params), mlops("data.features")
    before = stage.examples(raw, params), stage.requests(raw, params)

    def hook(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(minute=rows["event_timestamp"].dt.minute)

    monkeypatch.setattr(features, "derive", hook, raising=False)
    after = stage.examples(raw, params), stage.requests(raw, params)
    for old, new in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(new, hook(old))


@pytest.mark.parametrize(
    "wrong",
    [lambda rows: rows.head(1), lambda rows: rows[["event_timestamp"]], lambda rows: None],
    ids=["fewer rows", "fewer columns", "nothing"],
)
def test_a_hook_that_changes_the_rows_is_refused(
    mlops: Any, features: Any, raw: dict[str, pd.DataFrame], wrong: Any, monkeypatch: Any
) -> None:
    values = mlops("params").section("features", features.Params)
    monkeypatch.setattr(features, "derive", wrong, raising=False)
    with pytest.raises(mlops("errors").Problem, match=r"features\.derive"):
        mlops("data.features").examples(raw, values)


def test_an_incomplete_example_stops_the_dataset(
    mlops: Any, dataset: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = mlops("contract").schema()
    if not (example := mlops("contract").example()):
        pytest.skip("schema.py has no EXAMPLE")
    name = next(iter(example))
    incomplete = {each: value for each, value in example.items() if each != name}
    monkeypatch.setattr(schema, "EXAMPLE", incomplete)
    with pytest.raises(mlops("errors").Problem, match=rf"EXAMPLE lacks {name}"):
        mlops("data.dataset").run()


@pytest.fixture
def as_text(mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replace features.py by another source that is not imported yet."""
    name = f"{mlops('contract').__package__.rpartition('.')[0]}.features"

    def write(text: str) -> None:
        file = tmp_path / "features.py"
        file.write_text(text)
        spec = importlib.util.spec_from_file_location(name, file)
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setattr(importlib.util, "find_spec", lambda *_: spec)

        def load(_: str) -> Any:
            assert spec
            assert spec.loader
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module

        monkeypatch.setattr(importlib, "import_module", load)

    return write


def test_features_without_a_hook_may_import_what_a_service_lacks(
    mlops: Any, as_text: Callable[[str], None]
) -> None:
    derive, problem = mlops("derive"), mlops("errors").Problem
    as_text("import of_the_pipeline  # to derive\n")
    assert derive.hook() is None
    as_text("import of_the_pipeline\n\ndef derive(rows):\n    return rows\n")
    with pytest.raises(problem, match="of_the_pipeline"):
        derive.hook()
    as_text("def derive(rows):\n    import of_the_pipeline\n    return rows\n")
    assert derive.hook() is not None
