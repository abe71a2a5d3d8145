"""User errors are reported in one line that names the cause."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel


class Numbers(BaseModel):
    rate: float


@pytest.fixture
def params(mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return mlops("params")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "no params.yaml"),
        ("model: [", "is not YAML"),
        ("other: {}", "no section `model:`"),
        ("model: {}", "model.rate"),
        ("model: {rate: fast}", "model.rate.*'fast'"),
    ],
)
def test_params_that_cannot_be_read(mlops: Any, params: Any, text: str | None, named: str) -> None:
    if text is not None:
        Path("params.yaml").write_text(text)
    with pytest.raises(mlops("errors").Problem, match=named):
        params.section("model", Numbers)


def test_params_that_can_be_read(params: Any) -> None:
    Path("params.yaml").write_text("model: {rate: 0.5}")
    assert params.section("model", Numbers) == Numbers(rate=0.5)


def test_a_missing_function_is_reported(mlops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = mlops("contract")
    monkeypatch.delattr(contract.model(), "predict")
    with pytest.raises(mlops("errors").Problem, match=r"model\.py has no predict\(model, rows\)"):
        contract.model()


def test_a_function_with_other_parameters_is_reported(
    mlops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = mlops("contract")
    monkeypatch.setattr(contract.model(), "predict", lambda rows: rows)
    with pytest.raises(mlops("errors").Problem, match=r"should be predict\(model, rows\)"):
        contract.model()


def test_rows_that_break_the_schema_are_shown(mlops: Any, raw: dict[str, pd.DataFrame]) -> None:
    name, schema = next(iter(mlops("contract").schema().RAW.items()))
    column = next(name for name, each in schema.to_schema().columns.items() if not each.nullable)
    broken = raw[name].astype({column: object})
    broken.loc[broken.index[3], column] = None
    with pytest.raises(mlops("errors").Problem, match=f"{name} breaks the schema") as caught:
        mlops("tables").check(broken, schema, name)
    assert f"  {column}: " in str(caught.value)
    assert f"    {broken.index[3]} " in str(caught.value)


def test_a_feature_store_without_the_service_is_reported(
    mlops: Any, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "feature_repo"
    folder.mkdir()
    settings = (workspace / "feature_repo" / "feature_store.yaml").read_text()
    (folder / "feature_store.yaml").write_text(settings)
    monkeypatch.setattr(mlops("data.feature_store"), "FOLDER", folder)
    with (
        pytest.raises(mlops("errors").Problem, match="defines no FeatureService"),
        mlops("data.feature_store").opened() as store,
    ):
        mlops("data.feature_store").service(store)


def test_an_unreachable_mlflow_is_reported_without_its_password(
    mlops: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hidden@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlops("settings").settings.cache_clear()
    with pytest.raises(mlops("errors").Problem, match=r"MLflow at http://127\.0\.0\.1:9") as caught:
        mlops("registry.versions").champion()
    mlops("settings").settings.cache_clear()
    assert "hidden" not in str(caught.value)


def test_a_folder_is_replaced_whole_or_not_at_all(mlops: Any, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with mlops("files").replacing(target) as folder:
        (folder / "old").touch()
    with suppress(ZeroDivisionError), mlops("files").replacing(target) as folder:
        (folder / "half").touch()
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_a_file_in_a_folder_that_is_replaced_is_kept(mlops: Any, tmp_path: Path) -> None:
    target = tmp_path / "out"
    for content in ("1", "2"):
        with mlops("files").replacing(target) as folder:
            (folder / "ours").write_text(content)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (target / "mine").write_text("mine")
    with mlops("files").replacing(target) as folder:
        (folder / "ours").write_text("3")
    assert [path.name for path in target.iterdir()] == ["ours"]
    (mine,) = tmp_path.rglob("mine")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", ["prod", "late-flights-prod", "1"])
def test_an_environment_is_a_plain_name(
    mlops: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings = mlops("settings")
    monkeypatch.delenv("MLOPS_ENVIRONMENT", raising=False)
    assert settings.read(Path.cwd()).environment == ""
    monkeypatch.setenv("MLOPS_ENVIRONMENT", name)
    assert settings.read(Path.cwd()).environment == name
    monkeypatch.setenv("MLOPS_ENVIRONMENT", f"{name}/eu")
    with pytest.raises(mlops("errors").Problem, match=f"MLOPS_ENVIRONMENT is '{name}/eu': type"):
        settings.read(Path.cwd())
