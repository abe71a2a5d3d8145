"""A repo in a temporary folder, with the team's own modules and a small sample of its rows.

The sample is the team's fixture `raw` in tests/conftest.py.
"""

import fcntl
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
    """Return a platform module by name."""
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
    """Change into a folder and use an MLflow database there."""
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


Once = Callable[[str, Callable[[Path], None]], Path]
SHARDS = 2
"""Shards of the scored day."""
REFERENCE_ROWS = 2_000
"""Maximum of rows in the reference of the registered model: its bounds are judged in seconds."""


@pytest.fixture(scope="session")
def once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once for all processes of pytest-xdist; tests only read it or copy it."""
    own = tmp_path_factory.getbasetemp()
    # Not by $PYTEST_XDIST_WORKER: a worker of another session may have started this one.
    shared = own.parent if hasattr(request.config, "workerinput") else own

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder = shared / f"sample-{name}"
        with (shared / f"sample-{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                unfinished = tmp_path_factory.mktemp(name)
                fill(unfinished)
                unfinished.rename(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def new_database(once: Once, mlops: Any) -> Path:
    """A folder `.mlflow` with an empty database: MLflow takes seconds to create its tables."""

    def fill(folder: Path) -> None:
        shutil.copy(ROOT / "pyproject.toml", folder)
        with _inside(folder, mlops), mlops("registry.tracking").connected():
            pass

    return once("database", fill) / ".mlflow"


@pytest.fixture(scope="session")
def sample_joined(once: Once, mlops: Any, edit_params: Any, raw: dict[str, pd.DataFrame]) -> Path:
    """A folder in which the stages up to the dataset ran on the sample."""

    def fill(folder: Path) -> None:
        with _inside(folder, mlops):
            _copy(folder, edit_params)
            for name, table in raw.items():
                mlops("tables").write(table, mlops("files").RAW / f"{name}.parquet")
            mlops("data.features").run()
            edit_params(dataset=_split(mlops, raw))
            mlops("data.dataset").run()

    return once("joined", fill)


@pytest.fixture(scope="session")
def sample_trained(once: Once, sample_joined: Path, mlops: Any) -> Path:
    """A copy of that folder, with the model trained and evaluated."""

    def fill(folder: Path) -> None:
        shutil.copytree(sample_joined, folder, dirs_exist_ok=True)
        with _inside(folder, mlops):
            mlops("training.train").run()
            mlops("training.evaluate").run()

    return once("trained", fill)


@pytest.fixture(scope="session")
def sample_registered(once: Once, sample_trained: Path, new_database: Path, mlops: Any) -> Path:
    """A copy of that folder, with the model registered as the first version and fetched."""

    def fill(folder: Path) -> None:
        shutil.copytree(sample_trained, folder, dirs_exist_ok=True)
        shutil.copytree(new_database, folder / ".mlflow")
        with _inside(folder, mlops), pytest.MonkeyPatch.context() as patch:
            patch.setattr(mlops("registry.reference"), "ROWS", REFERENCE_ROWS)
            mlops("training.gate").run()
            mlops("training.register").run()
            mlops("registry.fetch").run()

    return once("registered", fill)


@pytest.fixture(scope="session")
def sample_scored(
    once: Once, sample_registered: Path, mlops: Any, raw: dict[str, pd.DataFrame]
) -> Path:
    """A copy of that folder, with the latest day scored in SHARDS shards.

    The day before is in data/before/, in one shard.
    """

    def score(day: str, shards: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mlops("data.ingest"), "load", lambda: raw)
            patch.setenv("MLOPS_DATE", day)
            mlops("batch.rows").run(shards)
            for shard in range(shards):
                mlops("batch.score").run(shard)

    def fill(folder: Path) -> None:
        shutil.copytree(sample_registered, folder, dirs_exist_ok=True)
        with _inside(folder, mlops):
            requests = mlops("data.features").requests(raw, mlops("data.features").section())
            *_, before, _ = sorted(requests["event_timestamp"].dt.date.unique())
            score(str(before), 1)
            shutil.copytree("data/batch", "data/before")
            score("", SHARDS)

    return once("scored", fill)


@pytest.fixture(scope="module")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, mlops: Any, edit_params: Any
) -> Iterator[Path]:
    """Change into a folder with the files that stages need; its gate has no rules."""
    folder = tmp_path_factory.mktemp("repo")
    with _inside(folder, mlops):
        _copy(folder, edit_params)
        yield folder


@pytest.fixture(scope="module")
def dataset(
    workspace: Path, sample_joined: Path, mlops: Any, edit_params: Any, raw: dict[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Add the outputs of the stages up to the dataset; return the splits, 60:20:20 by time."""
    _add(sample_joined, workspace, "data")
    edit_params(dataset=_split(mlops, raw))
    return {name: mlops("data.dataset").read(name) for name in ("train", "valid", "test")}


@pytest.fixture(scope="module")
def trained(
    workspace: Path, sample_trained: Path, mlops: Any, dataset: dict[str, pd.DataFrame]
) -> Any:
    """Add the trained model and its reports; return the model as the team's load does."""
    _add(sample_trained, workspace, "model", "reports")
    return mlops("contract").model().load(mlops("files").MODEL)


@pytest.fixture(scope="module")
def registered(
    workspace: Path, sample_registered: Path, mlops: Any, trained: Any
) -> dict[str, Any]:
    """Add the first version, which is then in production, and return what `register` wrote."""
    _add(sample_registered, workspace, ".mlflow", "reports")
    version: dict[str, Any] = mlops("files").read_json(Path("reports/registered.json"))
    return version


@pytest.fixture(scope="module")
def latest(workspace: Path, sample_scored: Path, registered: dict[str, Any]) -> Path:
    """Add the latest day and the one before in data/, scored but not published; return the first.

    The folder that is returned is a copy for the tests to restore.
    """
    _add(sample_scored, workspace, "data/batch", "data/before")
    return shutil.copytree(sample_scored / "data/batch", workspace / "data/latest")


def _add(sample: Path, workspace: Path, *folders: str) -> None:
    for name in folders:
        shutil.copytree(sample / name, workspace / name, dirs_exist_ok=True)


def _split(mlops: Any, raw: dict[str, pd.DataFrame]) -> dict[str, str]:
    features = mlops("contract").features()
    examples = mlops("data.features").examples(
        raw, mlops("params").section("features", features.Params)
    )
    days = examples["event_timestamp"].quantile([0.6, 0.8]).dt.date.astype(str)
    return dict(zip(("valid_from", "test_from"), days, strict=True))


Scrapes = tuple[str, str, int]
"""Exported metrics before and after an event, and for how many steps the event repeats.

An empty text stands for a failed scrape.
"""


class Prometheus:
    """The chart's rules and dashboard, evaluated by promtool on exported metrics.

    Only time is simulated: each step of a phase repeats the recorded change. As in a real scrape,
    labels are added to every series, and `up` to those of a service.
    """

    CHART = ROOT / "deploy/chart/files/monitoring"

    def __init__(self, folder: Path) -> None:
        """Write the files for promtool to `folder`."""
        self.folder = folder

    def rules(self, group: str) -> dict[str, Any]:
        """Return the alerts of a group by name."""
        groups = yaml.safe_load((self.CHART / "rules.yaml").read_text())["groups"]
        (rules,) = [each["rules"] for each in groups if each["name"] == group]
        return {rule["alert"]: rule for rule in rules}

    def panels(self, *rows: str) -> list[str]:
        """Return the queries of the panels in these rows, for all jobs and models."""
        panel_queries, row = [], ""
        for panel in json.loads((self.CHART / "grafana.json").read_text())["panels"]:
            row = panel["title"] if panel["type"] == "row" else row
            queries = [target["expr"] for target in panel.get("targets", [])]
            panel_queries += [re.sub(r"\$\w+", ".*", query) for query in queries if row in rows]
        return panel_queries

    def silence(self, model: str, environment: str) -> Path:
        """Write the chart's additional rules for a scheduled batch; return the file."""
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
        """Check which alerts fire at which times, and that the queries `shown` have values."""
        series = _series(phases, labels or {}, step)
        if up:
            steps = [f"{int(bool(after))}+0x{count - 1}" for _, after, count in phases]
            series[_named("up", {**(labels or {}), **up})] = " ".join(steps)
        checks = [
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
        checks += [
            {"expr": f"group({query})", "eval_time": first, "exp_samples": some} for query in shown
        ]
        test = {
            "interval": f"{step}s",
            "input_series": [{"series": name, "values": text} for name, text in series.items()],
            "promql_expr_test": checks,
        }
        file = self.folder / "test.json"
        suite = {"rule_files": [str(rules)], "evaluation_interval": f"{step}s", "tests": [test]}
        file.write_text(json.dumps(suite))
        command = ["promtool", "test", "rules", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[:5_000]


def _series(phases: Sequence[Scrapes], labels: Mapping[str, str], step: int) -> dict[str, str]:
    """Return the values of each series, in promtool's notation."""
    parsed = [(_samples(before), _samples(after), steps) for before, after, steps in phases]
    series: dict[str, str] = {}
    for key in sorted({key for _, after, _ in parsed for key in after}):
        value, parts, elapsed = 0.0, [], 0
        for before, after, steps in parsed:
            start, elapsed = elapsed, elapsed + steps * step
            if key not in after:
                parts.append(f"_x{steps}")
                continue
            now, rises = after[key]
            gain = now - before.get(key, (0.0, rises))[0] if rises else 0.0
            if key[0].endswith("_timestamp_seconds"):
                now += start - time.time()
            value = value + gain if rises else now
            parts.append(f"{value}+{gain}x{steps - 1}")
            value += gain * (steps - 1)
        series[_named(key[0], {**dict(key[1]), **labels})] = " ".join(parts)
    return series


def _samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, bool]]:
    """Return the value of each `mlops_` series, and True if it only increases."""
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
    """Evaluate the chart's rules on exported metrics; skip if promtool is not installed."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not on the PATH: install it from a release of Prometheus")
    return Prometheus(tmp_path)
