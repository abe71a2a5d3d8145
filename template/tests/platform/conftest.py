"""A repo in a scratch folder, with the team's own modules and a small sample of its rows.

`raw`, the sample, is the team's fixture in tests/conftest.py.
"""

import importlib
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = next(iter(entry_points(group="console_scripts", name="mlops"))).value.split(".")[0]


@pytest.fixture(scope="session")
def mlops() -> Callable[[str], Any]:
    """Give a platform module by its name."""
    return lambda name: importlib.import_module(f"{PACKAGE}.mlops.{name}")


@pytest.fixture(scope="session")
def edit_params() -> Callable[..., None]:
    """Replace sections of the params.yaml in the current folder."""

    def edit(**sections: Any) -> None:
        file = Path("params.yaml")
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **sections}))

    return edit


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, mlops: Any, edit_params: Any
) -> Iterator[Path]:
    """Go into a folder that holds what a stage needs of the repo; its gate has no rules."""
    folder = tmp_path_factory.mktemp("repo")
    for name in ("pyproject.toml", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("src", "feature_repo"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/.mlflow/mlflow.db")
        mlops("settings").settings.cache_clear()
        edit_params(gate={})
        yield folder
    mlops("settings").settings.cache_clear()


@pytest.fixture(scope="module")
def dataset(
    workspace: Path, mlops: Any, edit_params: Any, raw: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Run the stages up to the dataset on the sample, split 60:20:20 by time."""
    for name, table in raw.items():
        mlops("tables").write(table, mlops("files").RAW / f"{name}.parquet")
    mlops("features").run()
    features = mlops("contract").features()
    examples = features.examples(raw, mlops("params").section("features", features.Params))
    days = examples["event_timestamp"].quantile([0.6, 0.8]).dt.date.astype(str)
    edit_params(dataset=dict(zip(("valid_from", "test_from"), days, strict=True)))
    mlops("dataset").run()
    return {name: mlops("dataset").read(name) for name in ("train", "valid", "test")}


@pytest.fixture(scope="module")
def trained(mlops: Any, dataset: dict[str, pd.DataFrame]) -> Any:
    """Train on the sample and judge; gives the model as the team's load gives it."""
    mlops("train").run()
    mlops("evaluate").run()
    return mlops("contract").model().load(mlops("files").MODEL)
