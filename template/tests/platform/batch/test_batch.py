"""Batch inference: one day is scored by the model in production, and published atomically."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

SHARDS = 2
"""As many as those of the fixture `latest`."""


@pytest.fixture
def scored(
    mlops: Any, latest: Path, raw: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Restore the scored files of the latest day, or of the day before."""
    monkeypatch.setattr(mlops("data.ingest"), "load", lambda: raw)

    def restore(day: Path = latest) -> Any:
        batch = mlops("files").BATCH
        shutil.rmtree(batch, ignore_errors=True)
        shutil.copytree(day, batch)
        return mlops("files").read_json(mlops("batch.rows").ABOUT)

    return restore


def _published(mlops: Any) -> pd.DataFrame:
    return DeltaTable(mlops("settings").settings().predictions).to_pandas()


def test_batch_predictions_equal_the_models(mlops: Any, scored: Any, trained: Any) -> None:
    about = scored()
    mlops("batch.publish").run()
    published = _published(mlops)
    shards = [
        mlops("tables").read(mlops("batch.rows").ROWS / f"{n}.parquet") for n in range(SHARDS)
    ]
    expected = pd.concat(
        [mlops("contract").model().predict(trained, shard) for shard in shards], ignore_index=True
    )
    pd.testing.assert_frame_equal(
        published[[*expected.columns]].sort_values([*expected.columns], ignore_index=True),
        expected.sort_values([*expected.columns], ignore_index=True),
    )
    assert len(published) == about["rows"] == sum(map(len, shards))
    assert set(published["date"].astype(str)) == {about["date"]}
    assert set(published["model_version"]) == {"1"}
    assert {*about["columns"]} < {*published.columns}


def test_publishing_a_day_again_replaces_only_that_day(
    mlops: Any, scored: Any, latest: Path, raw: dict[str, pd.DataFrame]
) -> None:
    features = mlops("contract").features()
    values = mlops("params").section("features", features.Params)
    days = mlops("contract").requests(raw, values)["event_timestamp"].dt.date
    for day in (latest, latest.with_name("before"), latest):
        scored(day)
        mlops("batch.publish").run()
    published = _published(mlops)["date"].value_counts()
    assert published.to_dict() == days.value_counts().sort_index().tail(2).to_dict()


MOMENTS = {
    "": "2013-02-04",
    "2013-02-02": "2013-02-02",
    "2013-02-03T06:00:00Z": "2013-02-02",
    "2013-02-04 06:00:00+00:00": "2013-02-04",
    "2013-02-04T01:00:00+02:00": "2013-02-02",
    "2026-11-25T06:00:00Z": "2013-02-04",
}


@pytest.mark.parametrize(("moment", "day"), MOMENTS.items())
def test_a_scheduled_run_takes_the_latest_day_up_to_its_due_date(
    mlops: Any, monkeypatch: pytest.MonkeyPatch, moment: str, day: str
) -> None:
    monkeypatch.setenv("MLOPS_DATE", moment)
    days = pd.to_datetime(["2013-02-01", "2013-02-02", "2013-02-04"], utc=True)
    rows, selected = mlops("batch.rows").select_day(pd.DataFrame({"event_timestamp": days}))
    assert str(selected) == day
    assert [str(each) for each in rows["event_timestamp"].dt.date] == [day]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", None])
def test_days_are_in_utc_whatever_the_time_zone(
    mlops: Any, monkeypatch: pytest.MonkeyPatch, zone: str | None
) -> None:
    monkeypatch.setenv("MLOPS_DATE", "2013-02-02")
    times = pd.date_range("2013-02-01", "2013-02-04", freq="h", inclusive="left", tz="UTC")
    rows, day = mlops("batch.rows").select_day(
        pd.DataFrame({"event_timestamp": times.tz_convert(zone)})
    )
    assert str(day) == "2013-02-02"
    assert rows["event_timestamp"].to_list() == times[24:48].tz_convert(zone).to_list()


@pytest.mark.parametrize("missing", ["2013-02-03", "2013-01-31T06:00:00Z"])
def test_a_day_without_rows_is_refused(
    mlops: Any, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("MLOPS_DATE", missing)
    days = pd.to_datetime(["2013-02-01", "2013-02-04"], utc=True)
    message = f"no rows for {missing[:10]}: the data covers"
    with pytest.raises(mlops("errors").Problem, match=message):
        mlops("batch.rows").select_day(pd.DataFrame({"event_timestamp": days}))


# For each line, publishes in a process of its own, and kills it after so many seconds.
KILLED = """
import os, signal, sys, time
from importlib import import_module
publish = import_module(sys.argv[1])
for line in sys.stdin:
    if not (pid := os.fork()):
        publish.run()
        os._exit(0)
    time.sleep(float(line))
    os.kill(pid, signal.SIGKILL)
    print("killed" if os.WIFSIGNALED(os.waitpid(pid, 0)[1]) else "done", flush=True)
"""


def test_a_publish_that_is_killed_leaves_the_old_day_or_the_new(mlops: Any, scored: Any) -> None:
    """At any moment; leftovers do not disturb the next publish, killed or not."""
    about = scored()
    mlops("batch.publish").run()
    old = about["rows"]
    for folder in (mlops("batch.rows").ROWS, mlops("batch.score").SCORES):
        (folder / "1.parquet").unlink()  # the new day is smaller
    new = len(mlops("tables").read(mlops("batch.rows").ROWS / "0.parquet"))
    assert 0 < new < old
    visible, seconds, ended = old, 0.0, ""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, mlops("batch.publish").__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        while ended != "done":
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
            while (ended := process.stdout.readline().strip()) not in ("killed", "done"):
                assert process.poll() is None
            after = sum(_published(mlops)["date"].astype(str) == about["date"])
            assert after in {visible, new}, f"after {seconds} s"
            visible, seconds = after, seconds * 1.3 + 0.005
        process.stdin.close()
    assert visible == new


def test_a_publish_that_is_killed_before_its_commit_leaves_the_old_day(
    mlops: Any, scored: Any
) -> None:
    scored()
    mlops("batch.publish").run()
    before = _published(mlops)
    killed = """
import os, signal, sys
from importlib import import_module
publish = import_module(sys.argv[1])
stream = publish.delta.stream
def stop(schema, parts):
    yield from stream(schema, parts)
    os.kill(os.getpid(), signal.SIGKILL)
publish.delta.stream = lambda *both: publish.pa.RecordBatchReader.from_batches(both[0], stop(*both))
publish.run()
"""
    done = subprocess.run(
        [sys.executable, "-c", killed, mlops("batch.publish").__name__], check=False
    )
    assert done.returncode == -signal.SIGKILL
    pd.testing.assert_frame_equal(_published(mlops), before)


def test_invalid_days_and_missing_scores_are_reported(
    mlops: Any, scored: Any, registered: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = mlops("errors").Problem
    scored()
    for day, message in (
        ("1999-01-01", "there are no rows for 1999-01-01: the data covers"),
        ("yesterday", "'yesterday' is not a date: type one like"),
    ):
        monkeypatch.setenv("MLOPS_DATE", day)
        with pytest.raises(problem, match=message):
            mlops("batch.rows").run(SHARDS)
    monkeypatch.delenv("MLOPS_DATE")
    (mlops("batch.score").SCORES / "1.parquet").unlink()
    with pytest.raises(problem, match=r"1\.parquet: not scored"):
        mlops("batch.publish").run()


def test_an_unwritable_predictions_table_is_reported(
    mlops: Any, scored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored()
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLOPS_PREDICTIONS", str(tmp_path / "file/predictions"))
    mlops("settings").settings.cache_clear()
    try:
        with pytest.raises(mlops("errors").Problem, match=r"file/predictions.*MLOPS_PREDICTIONS"):
            mlops("batch.publish").run()
    finally:
        mlops("settings").settings.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "2013-02-02", "2013-02-01"), "FROM=2013-02-02 is after TO=2013-02-01"),
        (("", "2013-02-02", ""), "a range needs both ends"),
        (("", "", "2013-02-02"), "a range needs both ends"),
        (("2013-02-03", "2013-02-02", "2013-02-04"), "a day or a range"),
        (("yesterday", "", ""), "DATE=yesterday is not a date: type one like DATE="),
        (("", "2013-02-30", "2013-03-01"), "FROM=2013-02-30 is not a date"),
        (("", "2013-02-01", "soon"), "TO=soon is not a date"),
    ],
)
def test_invalid_days_and_ranges_are_reported(
    mlops: Any, arguments: tuple[str, str, str], message: str
) -> None:
    with pytest.raises(mlops("errors").Problem, match=message):
        mlops("batch.backfill").run(*arguments)


@pytest.mark.parametrize(
    ("fails", "message"),
    [
        ("rows", "2013-02-02 was not published: see above; to skip it, type {}"),
        (
            "drift",
            "2013-02-02 was published, .*type `make batch DATE=2013-02-02`; to continue, type {}",
        ),
    ],
)
def test_a_range_stops_at_the_first_day_that_fails_and_says_how_to_continue(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, message: str
) -> None:
    """An earlier publication of the day does not count as one of this run."""
    dates: list[str] = []
    published = mlops("batch.backfill").PUBLISHED
    monkeypatch.chdir(tmp_path)
    mlops("files").write_json(published, {"date": "2013-02-02", "table": 0})

    def repro(_: Any, env: dict[str, str], **__: Any) -> subprocess.CompletedProcess[str]:
        dates.append(env["MLOPS_DATE"])
        failed = dates[-1] == "2013-02-02"
        if not failed or fails == "drift":
            mlops("files").write_json(published, {"date": dates[-1], "table": len(dates)})
        return subprocess.CompletedProcess([], int(failed))

    monkeypatch.setattr(mlops("batch.backfill").subprocess, "run", repro)
    monkeypatch.setattr(
        mlops("runner.outs"), "check", lambda: None
    )  # there is no DVC in this folder
    message = message.format("FROM=2013-02-03 TO=2013-02-04")
    with pytest.raises(mlops("errors").Problem, match=message):
        mlops("batch.backfill").run("", "2013-02-01", "2013-02-04")
    assert dates == ["2013-02-01", "2013-02-02"]
    with pytest.raises(mlops("errors").Problem, match=f"{message.split(';')[0]}.*") as caught:
        mlops("batch.backfill").run("2013-02-02", "", "")
    assert "FROM" not in str(caught.value)


def test_only_the_bytes_that_were_registered_are_used(
    mlops: Any, registered: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, fetch = mlops("errors").Problem, mlops("registry.fetch")
    fetch.run()
    about = json.loads(fetch.ABOUT.read_text())
    assert about == registered
    monkeypatch.setenv("MLOPS_MODEL_VERSION", "7")
    with pytest.raises(problem, match="has no version 7 in MLflow; there are: 1"):
        fetch.run()
    monkeypatch.setenv("MLOPS_MODEL_VERSION", "1")
    monkeypatch.setenv("MLOPS_MODEL_DIGEST", "0" * 64)
    with pytest.raises(problem, match="not those that were registered"):
        fetch.run()
    assert json.loads(fetch.ABOUT.read_text()) == about
    monkeypatch.delenv("MLOPS_MODEL_DIGEST")
    package = mlops("registry.loading").code_of(fetch.MODEL)
    for file in Path(".mlflow").rglob(f"code/{package.name}/metrics.py"):
        file.write_text(file.read_text() + "# By others.")
    with pytest.raises(problem, match="not those that were registered"):
        fetch.run()
    with (package / "model.py").open("a") as code:
        code.write("# By others.")
    with pytest.raises(problem, match="is not the code that the model"):
        mlops("registry.loading").load(fetch.MODEL, "of_others")


def test_few_rows_leave_shards_empty(mlops: Any, dataset: dict[str, pd.DataFrame]) -> None:
    folder = Path("shards")
    folder.mkdir()
    mlops("batch.rows").write([rows := dataset["test"].head(1)], folder, SHARDS, rows)
    sizes = [len(mlops("tables").read(folder / f"{shard}.parquet")) for shard in range(SHARDS)]
    assert sizes == [1, 0]


@pytest.mark.parametrize("values", ["in a later part", "in no part"])
def test_a_text_column_without_values_in_a_part_stays_text(
    mlops: Any, dataset: dict[str, pd.DataFrame], tmp_path: Path, values: str
) -> None:
    rows = dataset["test"].head(4).assign(note=None, source=None)
    if values == "in a later part":
        rows.loc[rows.index[3], "note"] = "late"
    parts = [rows.head(2), rows.tail(2)]
    parts[1] = parts[1].assign(source=rows["note"])  # like a feature, which no request has
    mlops("batch.rows").write(parts, tmp_path, 2, rows.drop(columns="source"))
    for number, part in enumerate(parts):
        file = tmp_path / f"{number}.parquet"
        pd.testing.assert_frame_equal(
            mlops("tables").read(file), part.reset_index(drop=True), check_dtype=False
        )
        schema = pq.read_schema(file)
        assert [str(schema.field(name).type) for name in ("note", "source")] == ["string"] * 2
