"""A repo in a scratch folder, with the team's own modules and a small sample of its rows.

`raw`, the sample, is the team's fixture in tests/conftest.py.
"""

import importlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    examples = mlops("features").examples(raw, mlops("params").section("features", features.Params))
    days = examples["event_timestamp"].quantile([0.6, 0.8]).dt.date.astype(str)
    return dict(zip(("valid_from", "test_from"), days, strict=True))


Scrapes = tuple[str, str, int]
"""What was exported before and after something, and for how many steps that goes on.

An empty text is no answer.
"""


class Prometheus:
    """The chart's rules and dashboard over what was exported, played by promtool.

    Nothing is invented but time: each step of a phase repeats what was recorded of it. A scrape
    adds labels to a series, and `up` to those of a service.
    """

    CHART = ROOT / "deploy/chart/files/monitoring"

    def __init__(self, folder: Path) -> None:
        """Play in `folder`."""
        self.folder = folder

    def rules(self, group: str) -> dict[str, Any]:
        """Return the alerts of a group by name."""
        groups = yaml.safe_load((self.CHART / "rules.yaml").read_text())["groups"]
        (found,) = [each["rules"] for each in groups if each["name"] == group]
        return {rule["alert"]: rule for rule in found}

    def panels(self, *rows: str) -> list[str]:
        """Return the queries of the panels under these titles, for all jobs and models."""
        found, row = [], ""
        for panel in json.loads((self.CHART / "grafana.json").read_text())["panels"]:
            row = panel["title"] if panel["type"] == "row" else row
            queries = [target["expr"] for target in panel.get("targets", [])]
            found += [re.sub(r"\$\w+", ".*", query) for query in queries if row in rows]
        return found

    def silence(self, model: str, environment: str) -> Path:
        """Write the rules that the chart adds for a batch that a schedule starts."""
        text = (self.CHART / "silence.yaml").read_text()
        text = text.replace("MODEL", model).replace("ENVIRONMENT", environment)
        file = self.folder / "silence.yaml"
        file.write_text(f"groups:\n{text}")
        return file

    def play(
        self,
        phases: Sequence[Scrapes],
        firing: Mapping[str, set[str]],
        shown: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        up: Mapping[str, str] | None = None,
        step: int = 60,
        rules: Path = CHART / "rules.yaml",
    ) -> None:
        """Compare the alerts that fire at these times; at the first, `shown` have values."""
        series = _series(phases, labels or {}, step)
        if up:
            steps = [f"{int(bool(after))}+0x{count - 1}" for _, after, count in phases]
            series[_named("up", {**(labels or {}), **up})] = " ".join(steps)
        asked = [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": at,
                "exp_samples": [
                    {"labels": _named("", {"alertname": name}), "value": 1} for name in names
                ],
            }
            for at, names in firing.items()
        ]
        some, first = [{"labels": "{}", "value": 1}], next(iter(firing))
        asked += [
            {"expr": f"group({query})", "eval_time": first, "exp_samples": some} for query in shown
        ]
        test = {
            "interval": f"{step}s",
            "input_series": [{"series": name, "values": text} for name, text in series.items()],
            "promql_expr_test": asked,
        }
        file = self.folder / "test.json"
        played = {"rule_files": [str(rules)], "evaluation_interval": f"{step}s", "tests": [test]}
        file.write_text(json.dumps(played))
        command = ["promtool", "test", "rules", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[:5_000]


def _series(phases: Sequence[Scrapes], labels: Mapping[str, str], step: int) -> dict[str, str]:
    """Return promtool's values for each series that any of the scrapes has."""
    read = [(_samples(before), _samples(after), steps) for before, after, steps in phases]
    found: dict[str, str] = {}
    for key in sorted({key for _, after, _ in read for key in after}):
        value, parts, passed = 0.0, [], 0
        for before, after, steps in read:
            begun, passed = passed, passed + steps * step
            if key not in after:
                parts.append(f"_x{steps}")
                continue
            now, rises = after[key]
            gain = now - before.get(key, (0.0, rises))[0] if rises else 0.0
            if key[0].endswith("_timestamp_seconds"):
                now += begun - time.time()
            value = value + gain if rises else now
            parts.append(f"{value}+{gain}x{steps - 1}")
            value += gain * (steps - 1)
        found[_named(key[0], {**dict(key[1]), **labels})] = " ".join(parts)
    return found


def _samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, bool]]:
    """Return the value of each of our series, and whether it only rises."""
    from prometheus_client.parser import text_string_to_metric_families  # not in every repo

    return {
        (sample.name, tuple(sample.labels.items())): (
            sample.value,
            family.type in ("counter", "histogram"),
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("mlops_") and not sample.name.endswith("_created")
    }


def _named(name: str, labels: Mapping[str, str]) -> str:
    return name + "{" + ",".join(f"{key}={json.dumps(text)}" for key, text in labels.items()) + "}"


@pytest.fixture
def prometheus(tmp_path: Path) -> Prometheus:
    """Play what was exported against the chart's rules; without promtool, skip."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not on the PATH: Prometheus' releases have it")
    return Prometheus(tmp_path)
