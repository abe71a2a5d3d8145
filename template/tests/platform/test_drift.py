"""Drift: silent on rows like those of the test split, and it names what is not like them."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandera.typing.pandas import Series
from prometheus_client.parser import text_string_to_metric_families

DRAWS = 200


@pytest.fixture(scope="module")
def published(mlops: Any, trained: Any, raw: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """A model in production, and its latest day published."""
    mlops("gate").run()
    mlops("register").run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlops("ingest"), "load", lambda: raw)
        mlops("rows").run(2)
        mlops("production").run()
        for shard in range(2):
            mlops("score").run(shard)
        mlops("publish").run()
    found: dict[str, Any] = mlops("files").read_json(mlops("publish").PUBLISHED)
    return found


@pytest.fixture
def drift(
    mlops: Any,
    published: dict[str, Any],
    raw: dict[str, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """Run the stage, which draws two columns; returns what it found."""
    monkeypatch.setattr(mlops("ingest"), "load", lambda: raw)
    monkeypatch.setattr(mlops("monitoring"), "PICTURES", 2)
    module = mlops("drift")

    def run(current: pd.DataFrame | None = None) -> dict[str, Any]:
        if current is not None:
            monkeypatch.setattr(mlops("observed"), "day", lambda _: current)
        module.run()
        found: dict[str, Any] = mlops("files").read_json(module.DRIFT)
        return found

    return run


@pytest.fixture
def usual(mlops: Any, published: dict[str, Any]) -> pd.DataFrame:
    """The inputs and predictions of the reference, as a day's rows have them."""
    examples, predictions = mlops("reference").read(mlops("production").REFERENCE)
    inputs = examples[[*mlops("contract").schema().Features.to_schema().columns]]
    table: pd.DataFrame = pd.concat([inputs, predictions], axis=1)
    return table


def test_the_reference_comes_with_the_model(
    mlops: Any, published: dict[str, Any], dataset: dict[str, pd.DataFrame], trained: Any
) -> None:
    examples, predictions = mlops("reference").read(mlops("production").REFERENCE)
    expected = mlops("contract").model().predict(trained, examples)
    pd.testing.assert_frame_equal(predictions, expected)
    assert [*examples] == [*dataset["test"]]
    both = pd.concat([dataset["test"], examples])
    assert len(both.drop_duplicates()) == len(dataset["test"].drop_duplicates())


def test_a_day_is_compared_whole(mlops: Any, drift: Any, published: dict[str, Any]) -> None:
    found = drift()
    schema = mlops("contract").schema()
    assert found["judged"]
    assert {*schema.Predictions.to_schema().columns} == {*found["predictions"]}
    for column in schema.Features.to_schema().columns:
        assert [name for name in found["inputs"] if name.split(" (")[0] == column]
    assert found["quality"], "the examples of the published days are known"
    assert not found["unjudged"]
    page = mlops("drift").REPORT.read_text()
    assert page.count("<svg") > 1
    assert not re.search(r"<(link|script|img)|src=|@import|href=\"http", page)


def test_no_drift_in_draws_from_the_reference(
    mlops: Any, published: dict[str, Any], usual: pd.DataFrame
) -> None:
    judge, limits = mlops("usual"), mlops("drift").Params()
    examples, _ = mlops("reference").read(mlops("production").REFERENCE)
    random = np.random.default_rng(1)
    rows = min(300, len(usual))
    own = judge.parts(examples["event_timestamp"], rows)
    views = judge.views(usual, own, rows, limits)
    alarms = 0
    for _ in range(DRAWS):
        drawn = usual.iloc[random.choice(len(usual), rows)]
        alarms += any(each.moved for each in judge.compare(views, drawn, limits).values())
    assert alarms < DRAWS * 0.05


def test_the_bound_grows_with_chance_and_with_the_tail(mlops: Any) -> None:
    limits = mlops("drift").Params()
    random = np.random.default_rng(0)

    def bound(days: Any, columns: int = 10) -> float:
        found: float = limits.bound(list(days), [], 0.01, columns)
        return found

    steady, rare = 1 + 0.1 * random.random(60), random.pareto(1, 60)
    assert steady.max() < bound(steady) < 1.2 * steady.max()
    assert bound(rare) > 1.2 * rare.max()
    assert bound(rare, columns=100) > bound(rare)
    assert limits.bound([0.1] * 60, [0.5] * 30, 0.2, 10) == 0.5
    assert limits.bound([0.1] * 60, [], 0.2, 10) == 0.2
    assert limits.bound([0.0] * 60, [], 0.0, 10) == 0.0
    assert 1 < limits.bound([0.0] * 50 + [1.0] * 10, [], 0.0, 10) < np.inf
    by_hand = mlops("drift").Params(tolerance=1.35)
    assert by_hand.bound([0.1, 1.0], [5.0], 0.2, 10) == 1.35


def test_what_moved_is_named(drift: Any, usual: pd.DataFrame) -> None:
    numbers = usual.select_dtypes("number")
    name = str(numbers.std().idxmax())
    found = drift(usual.assign(**{name: numbers[name] + 10 * numbers[name].std()}))
    assert [line for line in found["moved"] if line.startswith(f"{name} is ")]
    assert len(drift(usual)["moved"]) < len(found["moved"])


def test_a_broken_feature_is_named(mlops: Any, drift: Any, usual: pd.DataFrame) -> None:
    column = [*mlops("contract").schema().Features.to_schema().columns][-1]
    found = drift(usual.assign(**{column: None}))
    assert any(
        line.startswith(column) and line.endswith("has no value in any row")
        for line in found["moved"]
    )


def test_words_and_texts_have_a_distance(mlops: Any) -> None:
    judge, limits = mlops("usual"), mlops("drift").Params()
    random = np.random.default_rng(0)
    own = np.array_split(np.arange(2000), 20)

    def texts(vocabulary: str, rows: int) -> pd.DataFrame:
        words = vocabulary.split()
        lines = [f"{' '.join(random.choice(words, 6))} {number}" for number in range(rows)]
        return pd.DataFrame({"text": lines, "word": random.choice(words, rows)})

    views = judge.views(texts("get post item cart user", 2000), own, 300, limits)
    same = judge.compare(views, texts("get post item cart user", 300), limits)
    assert {*same} == {"text (length)", "text (words)", "word"}
    assert not any(finding.moved for finding in same.values())
    other = judge.compare(views, texts("select union from drop user", 300), limits)
    assert other["word"].moved
    assert other["text (words)"].moved


@pytest.mark.parametrize("labels", [False, True])
def test_of_few_rows_the_labels_of_a_week_are_judged_alone(
    mlops: Any,
    drift: Any,
    usual: pd.DataFrame,
    labels: bool,
    edit_params: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    examples, predictions = mlops("reference").read(mlops("production").REFERENCE)
    newest = examples["event_timestamp"].max()
    week = examples.assign(event_timestamp=newest + pd.Timedelta(days=1)), predictions
    monkeypatch.setattr(mlops("observed"), "labelled", lambda *_: week if labels else None)
    monkeypatch.setattr(
        mlops("contract").metrics(),
        "score",
        lambda examples, predictions: {"new": float(examples["event_timestamp"].max() > newest)},
    )
    params = Path("params.yaml").read_text()
    try:
        edit_params(monitor={"retrain": f"touch {tmp_path}/retrained"})
        found = drift(usual.head(3).assign(**{str(usual.columns[0]): None}))
    finally:
        Path("params.yaml").write_text(params)
    assert found["judged"] is labels
    assert [line.split()[0] for line in found["moved"]] == ["new"] * labels
    assert (tmp_path / "retrained").exists() is labels
    assert [line.split(":")[0] for line in found["unjudged"]] == [
        "inputs and predictions",
        *["quality"] * (not labels),
    ]
    with mlops("tracking").connected() as client:
        (run,) = client.search_runs(
            [mlops("tracking").experiment(client)], f"tags.drift = '{found['date']}'"
        )
    assert run.data.metrics["drift.judged"] == labels


def test_metrics_that_the_model_in_production_cannot_have_are_said(
    mlops: Any, drift: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        mlops("contract").metrics(),
        "score",
        lambda examples, predictions: {"error": predictions["a new name"].mean()},
    )
    found = drift()
    assert found["judged"]
    assert not found["quality"]
    (line,) = found["unjudged"]
    assert "'a new name'" in line


def test_a_version_without_a_reference_is_one_line(
    mlops: Any, drift: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = mlops("production").REFERENCE.read_bytes()
    mlops("production").REFERENCE.unlink()
    try:
        found = drift()
    finally:
        mlops("production").REFERENCE.write_bytes(kept)
    assert not found["judged"]
    assert "no reference" in capsys.readouterr().out


def test_it_fails_and_retrains_only_where_asked(
    mlops: Any, drift: Any, usual: pd.DataFrame, edit_params: Any
) -> None:
    problem, broken = (
        mlops("errors").Problem,
        usual.iloc[:, ::-1].assign(**{str(usual.columns[0]): None}),
    )
    params = Path("params.yaml").read_text()
    try:
        edit_params(monitor={"retrain": "touch retrained"})
        drift(usual)
        assert not Path("retrained").exists()
        drift(broken)
        assert Path("retrained").exists()
        edit_params(monitor={"fail": True})
        with pytest.raises(problem, match=f"{usual.columns[0]}.* has no value in any row"):
            drift(broken)
        edit_params(monitor={"retrain": "false"})
        with pytest.raises(problem, match=r"monitor\.retrain in params\.yaml failed"):
            drift(broken)
        edit_params(monitor=None)
        drift(broken)
    finally:
        Path("params.yaml").write_text(params)


def test_mlflow_has_one_run_a_day(mlops: Any, drift: Any, published: dict[str, Any]) -> None:
    drift()
    drift()
    with mlops("tracking").connected() as client:
        experiment = mlops("tracking").experiment(client)
        runs = client.search_runs([experiment], f"tags.drift = '{published['date']}'")
        artifacts = {item.path for item in client.list_artifacts(runs[0].info.run_id, "drift")}
    assert len(runs) == 1
    assert artifacts == {"drift/drift.json", "drift/drift.html"}
    assert any(name.startswith("quality.") for name in runs[0].data.metrics)


@contextmanager
def gateway(status: int) -> Iterator[tuple[str, list[str]]]:
    """A Pushgateway, as far as a push sees it."""
    pushed: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            size = int(self.headers["Content-Length"])
            pushed.extend([self.path, self.rfile.read(size).decode()])
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", pushed
    finally:
        server.shutdown()
        server.server_close()


def test_prometheus_reads_it(
    mlops: Any, drift: Any, usual: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = str(usual.columns[0])
    found = drift(usual.assign(**{first: None}))
    text = mlops("monitoring").TEXT.read_text()
    moved = {
        sample.labels["name"]: sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "mlops_drift_moved"
        for sample in family.samples
    }
    assert {name for name, value in moved.items() if value} == {
        name
        for kind in ("inputs", "predictions", "quality")
        for name, each in found[kind].items()
        if each["moved"]
    }
    with gateway(200) as (address, pushed):
        monkeypatch.setenv("MLOPS_PUSHGATEWAY", address)
        drift()
    assert pushed[0] == f"/metrics/job/{found['name']}"
    assert "mlops_drift_distance{" in pushed[1]
    with gateway(500) as (address, _):
        monkeypatch.setenv("MLOPS_PUSHGATEWAY", address)
        with pytest.raises(mlops("errors").Problem, match=address):
            drift()


@pytest.fixture
def environment(mlops: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Go into an environment."""
    settings = mlops("settings").settings

    def enter(name: str) -> None:
        monkeypatch.setenv("MLOPS_ENVIRONMENT", name)
        settings.cache_clear()

    yield enter
    monkeypatch.delenv("MLOPS_ENVIRONMENT", raising=False)
    settings.cache_clear()


def test_each_environment_has_its_own_drift(
    mlops: Any, drift: Any, environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = drift()
    moved = quiet | {"moved": ["temp has moved"], "date": "2013-11-01"}
    monitoring, groups = mlops("monitoring"), []
    with gateway(200) as (address, pushed):
        monkeypatch.setenv("MLOPS_PUSHGATEWAY", address)
        for name in ("prod", "staging", "prod"):
            environment(name)
            monitoring.to_prometheus(moved)
            monitoring.to_mlflow(moved if name == "prod" else quiet | {"date": moved["date"]}, [])
            path, text = pushed[-2:]
            groups.append(path)
            samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
            assert {sample.labels["environment"] for sample in samples} == {name}
    assert groups[0] == groups[2] != groups[1]
    with mlops("tracking").connected() as client:
        found = client.search_runs(
            [mlops("tracking").experiment(client)], f"tags.drift = '{moved['date']}'"
        )
    runs = {run.data.tags["environment"]: run.data.metrics["drift.moved"] for run in found}
    assert runs == {"prod": 1, "staging": len(quiet["moved"])}
    assert len(found) == len(runs)
    of = mlops("status")._drift
    assert of(str(moved["version"]), "prod")["moved"] == 1
    assert of(str(moved["version"]), "other")["date"] == quiet["date"]


ODD: dict[str, Any] = {
    "an infinity": [np.inf, *range(99)],
    "both infinities": [np.inf, -np.inf, *range(98)],
    "all infinite": [np.inf] * 100,
    "nothing": [None] * 100,
    "larger than sums": [1e308, -1e308] * 50,
    "whole": pd.array([*range(99), None], dtype="Int64"),
    "nullable": pd.array([np.inf, None, *np.arange(98.0)], dtype="Float64"),
    "large numbers": [2**64 - 1] * 100,
    "too large for a column": [10**30 + n for n in range(100)],
    "dates": pd.date_range("2026-01-01", periods=100, tz="UTC"),
    "lists": [[1.0, np.inf]] * 100,
    "structures": [{"a": 1}] * 100,
    "bytes": [b"\xff\x00"] * 100,
    "dollars": ["$", "$$", "$$$", "$\\frac{"] * 25,
    "markup": ["<script>alert(1)</script>", "</svg>", "-->", "]]>"] * 25,
    "control characters": ["\x00", "\x1b[31m", "\r\n", "\x85"] * 25,
    "surrogates": ["\ud800", "x\udfff"] * 50,
    "long": ["x" * 9_000, "y " * 4_000] * 50,
    "emoji": ["😀", "עברית", "中文", "é"] * 25,
    "categories by the hundred": [f"c{n}" for n in range(100)],
    "mixed": ["a", 1, 2.5, None] * 25,
    "a$b_$^{": range(100),
    "<script>alert(1)</script>": range(100),
    "_a|b\n\x00\ud800/../" + "c" * 3_000: range(100),
}


def test_whatever_a_value_is_the_rest_is_judged_drawn_and_told(
    mlops: Any, published: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, monitoring, limits = mlops("usual"), mlops("monitoring"), mlops("drift").Params()
    monkeypatch.setattr(monitoring, "PICTURES", len(ODD))
    rows = pd.DataFrame({name: pd.Series(values) for name, values in ODD.items()})
    own = np.array_split(np.arange(100), 10)
    found = judge.compare(judge.views(rows, own, 100, limits), rows, limits)
    assert [view for view, each in found.items() if each.moved] == []
    assert [view for view, each in found.items() if each.unjudged] == ["larger than sums"]
    said = published | {"date": "2013-11-02", "judged": True, "predictions": {}, "quality": {}}
    said |= {name: [f"{column} is odd" for column in ODD] for name in ("moved", "unjudged")}
    said["inputs"] = {view: asdict(each) for view, each in found.items()}
    mlops("files").write_json(tmp_path / "drift.json", said)
    page = tmp_path / "drift.html"
    mlops("files").write_text(page, monitoring.page(said, rows, rows))
    assert page.read_text().count("<svg") == len(ODD)
    assert "<script" not in page.read_text()
    monitoring.to_prometheus(said)
    judged = text_string_to_metric_families(monitoring.TEXT.read_text())
    (moved,) = [family.samples for family in judged if family.name == "mlops_drift_moved"]
    assert len(moved) == len(found)
    monitoring.to_mlflow(said, [page])
    with mlops("tracking").connected() as client:
        experiment = mlops("tracking").experiment(client)
        (run,) = client.search_runs([experiment], "tags.drift = '2013-11-02'")
    assert run.data.metrics["missing.inputs.all infinite"] == 1


def test_an_infinite_value_is_as_one_that_is_missing(
    mlops: Any, drift: Any, usual: pd.DataFrame
) -> None:
    numbers = usual.select_dtypes("float")
    name = str(numbers.std().idxmax())
    few, half = (usual.copy() for _ in range(2))
    few.loc[few.index[:1], name] = np.inf
    half.loc[half.index[::2], name] = -np.inf
    before, one, many = drift(usual), drift(few), drift(half)
    assert one["moved"] == before["moved"]
    kind = "inputs" if name in one["inputs"] else "predictions"
    assert one[kind][name]["infinite"] == pytest.approx(1 / len(usual), rel=0.01)
    (line,) = [line for line in many["moved"] if line.startswith(f"{name} is missing")]
    assert "infinite" in line
    assert mlops("drift").REPORT.read_text().count("<svg") > 1


@pytest.mark.parametrize("away", ["gateway", "MLflow", "page"])
def test_who_cannot_be_told_keeps_nobody_else_from_it(
    mlops: Any,
    drift: Any,
    usual: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    away: str,
) -> None:
    monitoring, told = mlops("monitoring"), []

    def fail(*_: Any) -> str:
        raise RuntimeError(f"{away} is away")

    def tell(*_: Any) -> str:
        told.append(1)
        return "<svg>"

    names = {"gateway": "to_prometheus", "MLflow": "to_mlflow", "page": "page"}
    for who, name in names.items():
        monkeypatch.setattr(monitoring, name, fail if who == away else tell)
    with pytest.raises(mlops("errors").Problem, match=f"{away} is away") as error:
        drift()
    assert "\n" not in str(error.value)
    assert len(told) == 2
    assert "rows, version" in capsys.readouterr().out


def test_labels_that_cannot_be_read_keep_nothing_from_being_told(
    mlops: Any, drift: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise ConnectionError("the source is away")

    monkeypatch.setattr(mlops("observed"), "labelled", away)
    found = drift()
    assert found["judged"]
    assert [line for line in found["unjudged"] if "the source is away" in line]


def test_alerts_and_panels_read_what_a_finished_batch_pushes(
    mlops: Any, drift: Any, usual: pd.DataFrame, prometheus: Any, environment: Any
) -> None:
    monitoring, first = mlops("monitoring"), str(usual.columns[0])

    def record(found: dict[str, Any], name: str) -> str:
        """Return what a Pushgateway shows after the batch of an environment."""
        environment(name)
        with gateway(200) as (address, pushed), pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLOPS_PUSHGATEWAY", address)
            monitoring.to_prometheus(found)
        return pushed[1]

    fine, broken = drift(usual) | {"moved": []}, drift(usual.assign(**{first: None}))
    for kind in ("inputs", "predictions", "quality"):
        fine[kind] = {name: each | {"moved": ""} for name, each in fine[kind].items()}
    usually, moved = record(fine, "prod"), record(broken, "prod")
    nothing = record(fine | {"judged": False}, "prod")
    staging = record(fine, "staging")

    job, panels = {"job": fine["name"]}, prometheus.panels("Batch and drift")
    silence = prometheus.silence(fine["name"], "prod")
    cases: list[tuple[list[tuple[str, str, int]], dict[str, set[str]]]] = [
        ([("", usually, 25)], {"24h": set()}),
        ([("", usually, 60)], {"25h": set(), "27h": {"MlopsBatchLate"}}),
        ([("", usually, 2), ("", moved, 2)], {"1h": set(), "3h": {"MlopsDrift"}}),
        ([("", nothing, 25)] * 3, {"47h": set(), "49h": {"MlopsDriftNotJudged"}}),
    ]
    for phases, firing in cases:
        prometheus.play(phases, firing, panels, job, step=3600)
    for text, names in (
        (usually, set()),
        ("", {"MlopsBatchSilent"}),
        (staging, {"MlopsBatchSilent"}),
    ):
        firing = {"25h": set(), "27h": names}
        prometheus.play([("", text, 60)], firing, [], job, step=3600, rules=silence)
    fired = [names for _, firing in cases for names in firing.values()]
    assert set().union(*fired) == {*prometheus.rules("mlops-batch")}


def test_monitor_says_where_the_report_is(mlops: Any, drift: Any) -> None:
    drift()
    command = [sys.executable, "-c", f"from {mlops('cli').__name__} import main; main()", "monitor"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert mlops("drift").REPORT.resolve().as_uri() in done.stdout
    assert json.loads(mlops("drift").DRIFT.read_text())["date"] in done.stdout


def test_a_column_that_came_after_the_model_is_named_and_not_judged(
    mlops: Any,
    drift: Any,
    raw: dict[str, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A week of it: the days before the column came are published without."""
    team, schema = mlops("contract").features(), mlops("contract").schema()
    asked = mlops("contract").requests(raw, mlops("features").section())
    *_, before, day = sorted(asked["event_timestamp"].dt.date.unique())

    def publish(day: Any) -> None:
        monkeypatch.setenv("MLOPS_DATE", str(day))
        mlops("rows").run(1)
        mlops("score").run(0)
        mlops("publish").run()

    publish(before)

    class Newer(schema.Features):  # type: ignore[misc, name-defined]
        """The inputs, and one more."""

        newer: Series[int]

    monkeypatch.setattr(schema, "Features", Newer)
    for name in ("requests", "examples"):
        monkeypatch.setattr(team, name, _newer(getattr(team, name, team.examples)), raising=False)
    publish(day)
    found = drift()
    assert found["judged"]
    assert found["quality"]
    assert found["inputs"]
    assert "newer" not in found["inputs"]
    (line,) = found["unjudged"]
    assert line.startswith("newer: ")
    assert line in capsys.readouterr().out
    assert line in mlops("drift").REPORT.read_text()


def _newer(given: Any) -> Any:
    return lambda raw, params: given(raw, params).assign(newer=1)
