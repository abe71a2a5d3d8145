"""A repo in a scratch folder, with the team's own modules and a small sample of its rows.

`raw`, the sample, is the team's fixture in tests/conftest.py.
"""

import importlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = next(iter(entry_points(group="console_scripts", name="mlops"))).value.split(".")[0]


@pytest.fixture(scope="session")
def mlops() -> Callable[[str], Any]:
    """Give a platform module by its name."""
    return lambda name: importlib.import_module(f"{PACKAGE}.mlops.{name}")


@pytest.fixture(scope="session")
def edit_params(mlops: Any) -> Callable[..., None]:
    """Replace sections of the params.yaml in the current folder."""
    params = mlops("params")

    def edit(**sections: Any) -> None:
        file = Path("params.yaml")
        file.write_text(params.dump({**params.load(file.read_text()), **sections}))

    return edit


@contextmanager
def _inside(folder: Path, mlops: Any) -> Iterator[None]:
    """Go into a folder, whose MLflow is its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/.mlflow/mlflow.db")
        mlops("settings").settings.cache_clear()
        yield
    mlops("settings").settings.cache_clear()


def _copy(folder: Path, edit_params: Any) -> None:
    for name in ("pyproject.toml", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("src", "feature_repo"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    edit_params(gate={})


@pytest.fixture(scope="session")
def sample_joined(
    tmp_path_factory: pytest.TempPathFactory,
    mlops: Any,
    edit_params: Any,
    raw: dict[str, pd.DataFrame],
) -> Path:
    """A folder where the stages up to the dataset ran on the sample, once for all modules."""
    folder = tmp_path_factory.mktemp("joined")
    with _inside(folder, mlops):
        _copy(folder, edit_params)
        for name, table in raw.items():
            mlops("tables").write(table, mlops("files").RAW / f"{name}.parquet")
        mlops("features").run()
        edit_params(dataset=_split(mlops, raw))
        mlops("dataset").run()
    return folder


@pytest.fixture(scope="session")
def sample_trained(sample_joined: Path, mlops: Any) -> Path:
    """The same folder, where the model was trained too, and judged."""
    with _inside(sample_joined, mlops):
        mlops("train").run()
        mlops("evaluate").run()
    return sample_joined


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, mlops: Any, edit_params: Any
) -> Iterator[Path]:
    """Go into a folder that holds what a stage needs of the repo; its gate has no rules."""
    folder = tmp_path_factory.mktemp("repo")
    with _inside(folder, mlops):
        _copy(folder, edit_params)
        yield folder


@pytest.fixture(scope="module")
def dataset(
    workspace: Path, sample_joined: Path, mlops: Any, edit_params: Any, raw: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Bring what the stages up to the dataset made of the sample, split 60:20:20 by time."""
    shutil.copytree(sample_joined / "data", workspace / "data", dirs_exist_ok=True)
    edit_params(dataset=_split(mlops, raw))
    return {name: mlops("dataset").read(name) for name in ("train", "valid", "test")}


@pytest.fixture(scope="module")
def trained(
    workspace: Path, sample_trained: Path, mlops: Any, dataset: dict[str, pd.DataFrame]
) -> Any:
    """Bring the trained model and what it was judged by; gives it as the team's load does."""
    for name in ("model", "reports"):
        shutil.copytree(sample_trained / name, workspace / name, dirs_exist_ok=True)
    return mlops("contract").model().load(mlops("files").MODEL)


def _split(mlops: Any, raw: dict[str, pd.DataFrame]) -> dict[str, str]:
    features = mlops("contract").features()
    examples = features.examples(raw, mlops("params").section("features", features.Params))
    days = examples["event_timestamp"].quantile([0.6, 0.8]).dt.date.astype(str)
    return dict(zip(("valid_from", "test_from"), days, strict=True))
