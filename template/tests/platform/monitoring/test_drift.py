"""Drift: rows like the test split raise no alarm, and differences are reported by name."""

import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandera.typing.pandas import Series
from prometheus_client.parser import text_string_to_metric_families

DRAWS = 100


Run = Callable[..., dict[str, Any]]
"""Run the stage for the published day or for other rows, and return its result."""


@pytest.fixture(scope="module")
def published(mlops: Any, latest: Path) -> dict[str, Any]:
    """Publish the latest day with the model in production."""
    mlops("batch.publish").run()
    about: dict[str, Any] = mlops("files").read_json(mlops("batch.publish").PUBLISHED)
    return about


@pytest.fixture(scope="module")
def run(mlops: Any, published: dict[str, Any], raw: dict[str, pd.DataFrame]) -> Iterator[Run]:
    """Run the stage without drawing a column."""
    module, current = mlops("monitoring.drift"), mlops("monitoring.current")

    def of_day(day: pd.DataFrame | None = None) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            if day is not None:
                patch.setattr(current, "day", lambda _: day)
            module.run()
        result: dict[str, Any] = mlops("files").read_json(module.DRIFT)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlops("data.ingest"), "load", lambda: raw)
        patch.setattr(mlops("monitoring.exporters"), "PICTURES", 0)
        yield of_day


@pytest.fixture(scope="module")
def quiet(run: Run) -> dict[str, Any]:
    """The result for the published day."""
    return run()


@pytest.fixture(scope="module")
def fine(run: Run, reference_rows: pd.DataFrame) -> dict[str, Any]:
    """The result for the rows of the reference, which have not moved."""
    return run(reference_rows)


@pytest.fixture
def drift(mlops: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the stage, drawing two columns at most."""
    monkeypatch.setattr(mlops("monitoring.exporters"), "PICTURES", 2)
    return run


@pytest.fixture(scope="module")
def reference_rows(mlops: Any, published: dict[str, Any]) -> pd.DataFrame:
    """The inputs and predictions of the reference, in the form of a day's rows."""
    examples, predictions = mlops("registry.reference").read(mlops("registry.fetch").REFERENCE)
    inputs = examples[[*mlops("contract").schema().Features.to_schema().columns]]
    table: pd.DataFrame = pd.concat([inputs, predictions], axis=1)
    return table


def test_the_reference_comes_with_the_model(
    mlops: Any, published: dict[str, Any], dataset: dict[str, pd.DataFrame], trained: Any
) -> None:
    examples, predictions = mlops("registry.reference").read(mlops("registry.fetch").REFERENCE)
    expected = mlops("contract").model().predict(trained, examples)
    pd.testing.assert_frame_equal(predictions, expected)
    assert [*examples] == [*dataset["test"]]
    both = pd.concat([dataset["test"], examples])
    assert len(both.drop_duplicates()) == len(dataset["test"].drop_duplicates())


def test_every_column_of_a_day_is_compared(
    mlops: Any, drift: Any, published: dict[str, Any]
) -> None:
    result = drift()
    schema = mlops("contract").schema()
    assert result["judged"]
    assert {*schema.Predictions.to_schema().columns} == {*result["predictions"]}
    for column in schema.Features.to_schema().columns:
        assert [name for name in result["inputs"] if name.split(" (")[0] == column]
    assert result["quality"], "the published days have no labels"
    assert not result["unjudged"]
    page = mlops("monitoring.drift").REPORT.read_text()
    assert page.count("<svg") > 1
    assert not re.search(r"<(link|script|img)|src=|@import|href=\"http", page)


def test_no_drift_in_draws_from_the_reference(
    mlops: Any, published: dict[str, Any], reference_rows: pd.DataFrame
) -> None:
    judge, limits = mlops("monitoring.thresholds"), mlops("monitoring.drift").Params()
    examples, _ = mlops("registry.reference").read(mlops("registry.fetch").REFERENCE)
    random = np.random.default_rng(1)
    rows = min(300, len(reference_rows))
    own = judge.parts(examples["event_timestamp"], rows)
    views = judge.views(reference_rows, own, rows, limits)
    alarms = 0
    for _ in range(DRAWS):
        drawn = reference_rows.iloc[random.choice(len(reference_rows), rows)]
        alarms += any(each.moved for each in judge.compare(views, drawn, limits).values())
    assert alarms < DRAWS * 0.05


def test_the_bound_grows_with_the_columns_and_the_tail(mlops: Any) -> None:
    limits = mlops("monitoring.drift").Params()
    random = np.random.default_rng(0)

    def bound(days: Any, columns: int = 10) -> float:
        distance: float = limits.bound(list(days), [], 0.01, columns)
        return distance

    steady, rare = 1 + 0.1 * random.random(60), random.pareto(1, 60)
    assert steady.max() < bound(steady) < 1.2 * steady.max()
    assert bound(rare) > 1.2 * rare.max()
    assert bound(rare, columns=100) > bound(rare)
    assert limits.bound([0.1] * 60, [0.5] * 30, 0.2, 10) == 0.5
    assert limits.bound([0.1] * 60, [], 0.2, 10) == 0.2
    assert limits.bound([0.0] * 60, [], 0.0, 10) == 0.0
    assert 1 < limits.bound([0.0] * 50 + [1.0] * 10, [], 0.0, 10) < np.inf
    fixed = mlops("monitoring.drift").Params(tolerance=1.35)
    assert fixed.bound([0.1, 1.0], [5.0], 0.2, 10) == 1.35


def test_a_column_that_moved_is_reported(
    run: Run, fine: dict[str, Any], reference_rows: pd.DataFrame
) -> None:
    numbers = reference_rows.select_dtypes("number")
    name = str(numbers.std().idxmax())
    result = run(reference_rows.assign(**{name: numbers[name] + 10 * numbers[name].std()}))
    assert [line for line in result["moved"] if line.startswith(f"{name} is ")]
    assert len(fine["moved"]) < len(result["moved"])


def test_a_feature_without_values_is_reported(
    mlops: Any, drift: Any, reference_rows: pd.DataFrame
) -> None:
    column = [*mlops("contract").schema().Features.to_schema().columns][-1]
    result = drift(reference_rows.assign(**{column: None}))
    assert any(
        line.startswith(column) and line.endswith("has no value in any row")
        for line in result["moved"]
    )


def test_words_and_texts_have_a_distance(mlops: Any) -> None:
    judge, limits = mlops("monitoring.thresholds"), mlops("monitoring.drift").Params()
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
def test_with_few_rows_only_the_labels_of_the_week_are_judged(
    mlops: Any,
    run: Run,
    reference_rows: pd.DataFrame,
    labels: bool,
    edit_params: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    examples, predictions = mlops("registry.reference").read(mlops("registry.fetch").REFERENCE)
    newest = examples["event_timestamp"].max()
    week = examples.assign(event_timestamp=newest + pd.Timedelta(days=1)), predictions
    monkeypatch.setattr(
        mlops("monitoring.current"), "labelled", lambda *_: week if labels else None
    )
    monkeypatch.setattr(
        mlops("contract").metrics(),
        "score",
        lambda examples, predictions: {"new": float(examples["event_timestamp"].max() > newest)},
    )
    params = Path("params.yaml").read_text()
    try:
        edit_params(monitor={"retrain": f"touch {tmp_path}/retrained"})
        result = run(reference_rows.head(3).assign(**{str(reference_rows.columns[0]): None}))
    finally:
        Path("params.yaml").write_text(params)
    assert result["judged"] is labels
    assert [line.split()[0] for line in result["moved"]] == ["new"] * labels
    assert (tmp_path / "retrained").exists() is labels
    assert [line.split(":")[0] for line in result["unjudged"]] == [
        "inputs and predictions",
        *["quality"] * (not labels),
    ]
    with mlops("registry.tracking").connected() as client:
        (logged,) = client.search_runs(
            [mlops("registry.tracking").experiment(client)], f"tags.drift = '{result['date']}'"
        )
    assert logged.data.metrics["drift.judged"] == labels


def test_metrics_that_the_production_model_does_not_support_are_reported(
    mlops: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        mlops("contract").metrics(),
        "score",
        lambda examples, predictions: {"error": predictions["a new name"].mean()},
    )
    result = run()
    assert result["judged"]
    assert not result["quality"]
    (line,) = result["unjudged"]
    assert "'a new name'" in line


def test_a_version_without_a_reference_is_not_judged(
    mlops: Any, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = mlops("registry.fetch").REFERENCE
    content = reference.read_bytes()
    reference.unlink()
    try:
        result = run()
    finally:
        reference.write_bytes(content)
    assert not result["judged"]
    assert "no reference" in capsys.readouterr().out


def test_drift_fails_the_stage_or_retrains_only_if_configured(
    mlops: Any, run: Run, reference_rows: pd.DataFrame, edit_params: Any
) -> None:
    problem, broken = (
        mlops("errors").Problem,
        reference_rows.iloc[:, ::-1].assign(**{str(reference_rows.columns[0]): None}),
    )
    params = Path("params.yaml").read_text()
    try:
        edit_params(monitor={"retrain": "touch retrained"})
        run(reference_rows)
        assert not Path("retrained").exists()
        run(broken)
        assert Path("retrained").exists()
        edit_params(monitor={"fail": True})
        with pytest.raises(problem, match=f"{reference_rows.columns[0]}.* has no value in any row"):
            run(broken)
        edit_params(monitor={"retrain": "false"})
        with pytest.raises(problem, match=r"monitor\.retrain in params\.yaml failed"):
            run(broken)
        edit_params(monitor=None)
        run(broken)
    finally:
        Path("params.yaml").write_text(params)


def test_mlflow_has_one_run_a_day(mlops: Any, run: Run, published: dict[str, Any]) -> None:
    run()
    run()
    with mlops("registry.tracking").connected() as client:
        experiment = mlops("registry.tracking").experiment(client)
        runs = client.search_runs([experiment], f"tags.drift = '{published['date']}'")
        artifacts = {item.path for item in client.list_artifacts(runs[0].info.run_id, "drift")}
    assert len(runs) == 1
    assert artifacts == {"drift/drift.json", "drift/drift.html"}
    assert any(name.startswith("quality.") for name in runs[0].data.metrics)


@contextmanager
def gateway(status: int) -> Iterator[tuple[str, list[str]]]:
    """Run a minimal Pushgateway, and record the paths and bodies of pushes."""
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
    mlops: Any, run: Run, reference_rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = str(reference_rows.columns[0])
    result = run(reference_rows.assign(**{first: None}))
    text = mlops("monitoring.exporters").TEXT.read_text()
    moved = {
        sample.labels["name"]: sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "mlops_drift_moved"
        for sample in family.samples
    }
    assert {name for name, value in moved.items() if value} == {
        name
        for kind in ("inputs", "predictions", "quality")
        for name, each in result[kind].items()
        if each["moved"]
    }
    for status in (200, 500):
        with gateway(status) as (address, pushed):
            monkeypatch.setenv("MLOPS_PUSHGATEWAY", address)
            refused = pytest.raises(mlops("errors").Problem, match=address)
            with nullcontext() if status == 200 else refused:
                run()
        assert pushed[0] == f"/metrics/job/{result['name']}"
        assert "mlops_drift_distance{" in pushed[1]


@pytest.fixture
def environment(mlops: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Enter an environment."""
    settings = mlops("settings").settings

    def enter(name: str) -> None:
        monkeypatch.setenv("MLOPS_ENVIRONMENT", name)
        settings.cache_clear()

    yield enter
    monkeypatch.delenv("MLOPS_ENVIRONMENT", raising=False)
    settings.cache_clear()


def test_each_environment_has_its_own_drift(
    mlops: Any, quiet: dict[str, Any], environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = quiet | {"moved": ["temp has moved"], "date": "2013-11-01"}
    monitoring, groups = mlops("monitoring.exporters"), []
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
    with mlops("registry.tracking").connected() as client:
        runs = client.search_runs(
            [mlops("registry.tracking").experiment(client)], f"tags.drift = '{moved['date']}'"
        )
    metrics = {run.data.tags["environment"]: run.data.metrics["drift.moved"] for run in runs}
    assert metrics == {"prod": 1, "staging": len(quiet["moved"])}
    assert len(runs) == len(metrics)
    status = mlops("release.status")._drift
    assert status(str(moved["version"]), "prod")["moved"] == 1
    assert status(str(moved["version"]), "other")["date"] == quiet["date"]


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


def test_odd_values_do_not_break_judging_plotting_or_exporting(
    mlops: Any, published: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, monitoring, limits = (
        mlops("monitoring.thresholds"),
        mlops("monitoring.exporters"),
        mlops("monitoring.drift").Params(),
    )
    monkeypatch.setattr(monitoring, "PICTURES", len(ODD))
    rows = pd.DataFrame({name: pd.Series(values) for name, values in ODD.items()})
    own = np.array_split(np.arange(100), 10)
    findings = judge.compare(judge.views(rows, own, 100, limits), rows, limits)
    assert [view for view, each in findings.items() if each.moved] == []
    assert [view for view, each in findings.items() if each.unjudged] == ["larger than sums"]
    result = published | {"date": "2013-11-02", "judged": True, "predictions": {}, "quality": {}}
    result |= {name: [f"{column} is odd" for column in ODD] for name in ("moved", "unjudged")}
    result["inputs"] = {view: asdict(each) for view, each in findings.items()}
    mlops("files").write_json(tmp_path / "drift.json", result)
    page = tmp_path / "drift.html"
    mlops("files").write_text(page, monitoring.page(result, rows, rows))
    assert page.read_text().count("<svg") == len(ODD)
    assert "<script" not in page.read_text()
    monitoring.to_prometheus(result)
    families = text_string_to_metric_families(monitoring.TEXT.read_text())
    (moved,) = [family.samples for family in families if family.name == "mlops_drift_moved"]
    assert len(moved) == len(findings)
    monitoring.to_mlflow(result, [page])
    with mlops("registry.tracking").connected() as client:
        experiment = mlops("registry.tracking").experiment(client)
        (run,) = client.search_runs([experiment], "tags.drift = '2013-11-02'")
    assert run.data.metrics["missing.inputs.all infinite"] == 1


def test_infinite_values_count_as_missing(
    mlops: Any, drift: Any, fine: dict[str, Any], reference_rows: pd.DataFrame
) -> None:
    numbers = reference_rows.select_dtypes("float")
    name = str(numbers.std().idxmax())
    few, half = (reference_rows.copy() for _ in range(2))
    few.loc[few.index[:1], name] = np.inf
    half.loc[half.index[::2], name] = -np.inf
    one, many = drift(few), drift(half)
    assert one["moved"] == fine["moved"]
    kind = "inputs" if name in one["inputs"] else "predictions"
    assert one[kind][name]["infinite"] == pytest.approx(1 / len(reference_rows), rel=0.01)
    (line,) = [line for line in many["moved"] if line.startswith(f"{name} is missing")]
    assert "infinite" in line
    assert mlops("monitoring.drift").REPORT.read_text().count("<svg") > 1


@pytest.mark.parametrize("away", ["gateway", "MLflow", "page"])
def test_an_exporter_that_fails_does_not_stop_the_others(
    mlops: Any,
    run: Run,
    reference_rows: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    away: str,
) -> None:
    monitoring, calls = mlops("monitoring.exporters"), []

    def fail(*_: Any) -> str:
        raise RuntimeError(f"{away} is away")

    def record(*_: Any) -> str:
        calls.append(1)
        return "<svg>"

    names = {"gateway": "to_prometheus", "MLflow": "to_mlflow", "page": "page"}
    for who, name in names.items():
        monkeypatch.setattr(monitoring, name, fail if who == away else record)
    with pytest.raises(mlops("errors").Problem, match=f"{away} is away") as error:
        run()
    assert "\n" not in str(error.value)
    assert len(calls) == 2
    assert "rows, version" in capsys.readouterr().out


def test_unreadable_labels_do_not_stop_the_report(
    mlops: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise ConnectionError("the source is away")

    monkeypatch.setattr(mlops("monitoring.current"), "labelled", away)
    result = run()
    assert result["judged"]
    assert [line for line in result["unjudged"] if "the source is away" in line]


def test_alerts_and_panels_read_what_a_finished_batch_pushes(
    mlops: Any,
    run: Run,
    fine: dict[str, Any],
    reference_rows: pd.DataFrame,
    prometheus: Any,
    environment: Any,
) -> None:
    monitoring, first = mlops("monitoring.exporters"), str(reference_rows.columns[0])

    def record(result: dict[str, Any], name: str) -> str:
        """Return the metrics that a Pushgateway exposes after the batch of an environment."""
        environment(name)
        with gateway(200) as (address, pushed), pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLOPS_PUSHGATEWAY", address)
            monitoring.to_prometheus(result)
        return pushed[1]

    fine, broken = fine | {"moved": []}, run(reference_rows.assign(**{first: None}))
    for kind in ("inputs", "predictions", "quality"):
        fine[kind] = {name: each | {"moved": ""} for name, each in fine[kind].items()}
    normal, moved = record(fine, "prod"), record(broken, "prod")
    nothing = record(fine | {"judged": False}, "prod")
    staging = record(fine, "staging")

    job, panels = {"job": fine["name"]}, prometheus.panels("Batch and drift")
    silence = prometheus.silence(fine["name"], "prod")
    cases: list[tuple[list[tuple[str, str, int]], dict[str, set[str]]]] = [
        ([("", normal, 25)], {"24h": set()}),
        ([("", normal, 60)], {"25h": set(), "27h": {"MlopsBatchLate"}}),
        ([("", normal, 2), ("", moved, 2)], {"1h": set(), "3h": {"MlopsDrift"}}),
        ([("", nothing, 25)] * 3, {"47h": set(), "49h": {"MlopsDriftNotJudged"}}),
    ]
    for phases, firing in cases:
        prometheus.play(phases, firing, panels, job, step=3600)
    for text, names in (
        (normal, set()),
        ("", {"MlopsBatchSilent"}),
        (staging, {"MlopsBatchSilent"}),
    ):
        firing = {"25h": set(), "27h": names}
        prometheus.play([("", text, 60)], firing, [], job, step=3600, rules=silence)
    fired = [names for _, firing in cases for names in firing.values()]
    assert set().union(*fired) == {*prometheus.rules("mlops-batch")}


def test_monitor_says_where_the_report_is(
    mlops: Any, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run()
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["mlops", "monitor"])
    with pytest.raises(SystemExit) as ended:
        mlops("cli").main()
    assert not ended.value.code
    output = capsys.readouterr().out
    assert mlops("monitoring.drift").REPORT.resolve().as_uri() in output
    assert result["date"] in output


def test_a_column_newer_than_the_model_is_reported_but_not_judged(
    mlops: Any,
    drift: Any,
    raw: dict[str, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a week whose earlier days were published without the column."""
    team, schema = mlops("contract").features(), mlops("contract").schema()
    requests = mlops("contract").requests(raw, mlops("data.features").section())
    shutil.rmtree(mlops("files").BATCH)
    shutil.copytree("data/before", mlops("files").BATCH)
    mlops("batch.publish").run()

    class Newer(schema.Features):  # type: ignore[misc, name-defined]
        """The inputs and one more."""

        newer: Series[int]

    monkeypatch.setattr(schema, "Features", Newer)
    for name in ("requests", "examples"):
        monkeypatch.setattr(team, name, _newer(getattr(team, name, team.examples)), raising=False)
    monkeypatch.setenv("MLOPS_DATE", str(requests["event_timestamp"].dt.date.max()))
    mlops("batch.rows").run(1)
    mlops("batch.score").run(0)
    mlops("batch.publish").run()
    result = drift()
    assert result["judged"]
    assert result["quality"]
    assert result["inputs"]
    assert "newer" not in result["inputs"]
    (line,) = result["unjudged"]
    assert line.startswith("newer: ")
    assert line in capsys.readouterr().out
    assert line in mlops("monitoring.drift").REPORT.read_text()


def _newer(function: Any) -> Any:
    return lambda raw, params: function(raw, params).assign(newer=1)
