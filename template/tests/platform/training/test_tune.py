"""`mlops tune`: it searches as configured, survives a kill, and edits params.yaml in place."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pydantic import BaseModel, Field
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[3]
PARAMS = YAML(typ="safe").load(ROOT / "params.yaml")

if "tune" not in PARAMS:
    pytest.skip("params.yaml has no section `tune`", allow_module_level=True)

FEW = 4_000
"""Rows of each split."""

# Score without fitting: the same values and share give the same score.
SCORE = """
import hashlib, json, time
def score(self, values, share):
    time.sleep(PAUSE)
    print("scored", flush=True)
    text = json.dumps([values, share], sort_keys=True)
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32
"""


@pytest.fixture(scope="module")
def few_rows(mlops: Any, dataset: dict[str, pd.DataFrame]) -> None:
    """Leave the latest rows of the dataset."""
    for name, rows in dataset.items():
        mlops("tables").write(rows.tail(FEW), mlops("files").DATASET / f"{name}.parquet")


@pytest.fixture
def tune(
    mlops: Any,
    few_rows: None,
    workspace: Path,
    new_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """The module, with a study and an MLflow database of its own."""
    before = Path("params.yaml").read_bytes()
    module = mlops("training.tune")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "studies")
    shutil.copytree(new_database, tmp_path / ".mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/.mlflow/mlflow.db")
    mlops("settings").settings.cache_clear()
    yield module
    Path("params.yaml").write_bytes(before)
    mlops("settings").settings.cache_clear()


@pytest.fixture
def score(tune: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"PAUSE": 0}
    exec(SCORE, names)
    monkeypatch.setattr(tune.Search, "_score", names["score"])


def finished(mlops: Any, tune: Any) -> list[Any]:
    return list(mlops("training.tune_runs").finished(tune.Search().study()))


def runs(mlops: Any) -> list[Any]:
    with mlops("registry.tracking").connected() as client:
        return list(client.search_runs([mlops("registry.tracking").experiment(client)]))


def test_trials_are_fitted_and_scored_under_one_parent_run(
    mlops: Any, tune: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("params.yaml").read_bytes()
    tune.run(2, write=False)
    first, second = finished(mlops, tune)
    assert first.user_attrs["values"] == {
        name: PARAMS["model"][name] for name in PARAMS["tune"]["space"]
    }
    assert list(first.intermediate_values) == [0, 1, 2]
    assert second.user_attrs["values"] != first.user_attrs["values"]
    output = capsys.readouterr().out
    assert [line.split("  ")[0] for line in output.splitlines()[:2]] == [
        "trial 1 of 2",
        "trial 2 of 2",
    ]
    by_trial = {run.data.tags["tune_trial"]: run for run in runs(mlops)}
    parent = by_trial.pop("")
    assert {run.data.tags["mlflow.parentRunId"] for run in by_trial.values()} == {
        parent.info.run_id
    }
    assert sorted(by_trial) == ["0", "1"]
    metric = PARAMS["tune"]["metric"]
    assert by_trial["0"].data.metrics[metric] == pytest.approx(first.value)
    assert parent.info.status == "FINISHED"
    assert Path("params.yaml").read_bytes() == before


def test_a_killed_search_resumes_with_the_same_trials(
    mlops: Any, tune: Any, score: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole"
    tune.FOLDER, cut = whole, tune.FOLDER
    tune.run(6, write=False)
    expected = [(trial.user_attrs["values"], trial.value) for trial in finished(mlops, tune)]
    tune.FOLDER = cut

    code = SCORE.replace("PAUSE", "0.2") + (
        "import importlib, pathlib, sys\n"
        "tune = importlib.import_module(sys.argv[1])\n"
        "tune.FOLDER = pathlib.Path(sys.argv[2])\n"
        "tune.Search._score = score\n"
        "tune.run(6, write=False)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tune.__name__, str(cut)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    ) as process:
        assert process.stdout
        trials = 0
        for line in process.stdout:
            trials += line.startswith("trial")
            # In the middle of the fourth trial.
            if trials == 3 and line == "scored\n":
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    before = len(finished(mlops, tune))
    assert 3 <= before < 6
    capsys.readouterr()
    tune.run(6, write=False)
    output = capsys.readouterr().out
    assert f"{before} trials are finished already" in output
    assert output.count("\ntrial ") == 6 - before
    ended = finished(mlops, tune)
    assert [(trial.user_attrs["values"], trial.value) for trial in ended] == expected
    numbers = {str(trial.number) for trial in ended}
    study = tune.Search().study().study_name
    ours = [run for run in runs(mlops) if run.data.tags["tune_study"] == study]
    assert numbers <= {run.data.tags["tune_trial"] for run in ours}


def test_poor_trials_stop_early_but_current_values_never_do(
    mlops: Any, tune: Any, edit_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = 1 if PARAMS["tune"]["direction"] == "maximize" else -1
    calls = iter(range(1000))
    monkeypatch.setattr(tune.Search, "_score", lambda *_: -sign * float(next(calls)))
    tune.run(6, write=False)
    reached = [trial.user_attrs["share"] for trial in finished(mlops, tune)]
    assert reached == [1, 1, 1, 1, 0.25, 0.25]
    # The values of a pruned trial are put into params.yaml after the last trial.
    edit_params(model={**PARAMS["model"], **finished(mlops, tune)[-1].user_attrs["values"]})
    for _ in range(2):
        tune.run(6, write=False)
        assert [trial.user_attrs["share"] for trial in finished(mlops, tune)] == [*reached, 1]


def test_the_best_is_written_only_when_asked(
    mlops: Any, tune: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = 1 if PARAMS["tune"]["direction"] == "maximize" else -1
    calls = iter(range(1000))
    monkeypatch.setattr(tune.Search, "_score", lambda *_: sign * float(next(calls)))
    tune.run(6, write=False)
    output = capsys.readouterr().out
    before = mlops("params").load(Path("params.yaml").read_text())
    assert before["model"] == PARAMS["model"]
    best = finished(mlops, tune)[-1].user_attrs["values"]
    assert yaml.safe_load(output[output.index("\nmodel:") :]) == {"model": best}
    tune.run(6, write=True)
    after = mlops("params").load(Path("params.yaml").read_text())
    assert after == {**before, "model": {**before["model"], **best}}


def test_a_changed_search_starts_a_new_study_but_more_trials_do_not(
    tune: Any, workspace: Path, edit_params: Any, mlops: Any
) -> None:
    def name() -> str:
        return str(tune.Search()._digest())

    names = [name()]
    edit_params(tune={**PARAMS["tune"], "trials": 77})
    assert name() == names[0]
    searched = next(iter(PARAMS["tune"]["space"]))
    fixed = next(key for key in PARAMS["model"] if key not in PARAMS["tune"]["space"])
    space = {key: value for key, value in PARAMS["tune"]["space"].items() if key == searched}
    edit_params(tune={**PARAMS["tune"], "space": {**space}, "direction": "minimize"})
    names.append(name())
    edit_params(tune=PARAMS["tune"], model={**PARAMS["model"], fixed: PARAMS["model"][fixed] + 1})
    names.append(name())
    edit_params(model=PARAMS["model"])
    model = next(workspace.glob("src/*/model.py"))
    text = model.read_text()
    model.write_text(text + "\n")
    names.append(name())
    model.write_text(text)
    assert len(set(names)) == len(names)
    assert name() == names[0]


def test_a_search_that_is_stopped_ends_its_run(
    mlops: Any, tune: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state() -> str:
        (search,) = (run for run in runs(mlops) if not run.data.tags["tune_trial"])
        return str(search.info.status)

    def stop(*_: object) -> float:
        assert state() == "RUNNING"
        signal.raise_signal(signal.SIGTERM)
        return 1.0

    monkeypatch.setattr(tune.Search, "_score", stop)
    with pytest.raises(SystemExit):
        tune.run(2, write=False)
    assert state() == "KILLED"
    monkeypatch.setattr(tune.Search, "_score", lambda *_: float("nan"))
    with pytest.raises(mlops("errors").Problem):
        tune.run(2, write=False)
    assert state() == "FAILED"
    monkeypatch.setattr(tune.Search, "_score", lambda *_: 1.0)
    tune.run(2, write=False)
    assert state() == "FINISHED"


def test_two_searches_at_once_are_refused(mlops: Any, tune: Any, score: None) -> None:
    with (
        tune._alone(),
        pytest.raises(mlops("errors").Problem, match="another search is running"),
    ):
        tune.run(1, write=False)


class Numbers(BaseModel):
    rate: float = Field(gt=0, le=1)
    leaves: int = 31
    kind: str = "a"


RATE = {"low": 0.1, "high": 0.5}


@pytest.mark.parametrize(
    ("tuned", "message"),
    [
        ({"space": {"rat": RATE}}, r"tune\.space\.rat: .* no rat; there are rate, leaves, kind"),
        ({"space": {"rate": {"low": 0.5, "high": 0.1}}}, r"tune\.space\.rate: .*low must be less"),
        ({"space": {"rate": {"low": 0.5}}}, r"tune\.space\.rate: .*must be \{low"),
        ({"space": {"rate": {"low": "x", "high": 1}}}, r"tune\.space\.rate\.low: .*a number"),
        ({"space": {"rate": {"low": 0, "high": 1, "log": True}}}, r"rate: .*log needs"),
        ({"space": {"rate": {"low": 0.1, "high": 2}}}, r"model\.rate: .*1 \(it is 2\)"),
        ({"space": {"rate": {"low": 0.3, "high": 0.5}}}, r"rate: must include the current .* 0\.2"),
        ({"space": {"leaves": {"low": 2.5, "high": 64}}}, r"model\.leaves: .*2\.5"),
        ({"space": {"kind": {"choices": ["b", "c"]}}}, r"kind: must include the current .*'a'"),
        ({"space": {}}, r"tune\.space: "),
        ({"space": {"rate": RATE}, "direction": "up"}, r"tune\.direction: .*'up'"),
        ({"space": {"rate": RATE}, "trials": 0}, r"tune\.trials: .*0"),
    ],
)
def test_an_invalid_space_is_reported_in_one_line(
    mlops: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tuned: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    current = {"rate": 0.2, "leaves": 31, "kind": "a"}
    section = {"metric": "auc", "direction": "maximize", **tuned}
    Path("params.yaml").write_text(yaml.safe_dump({"model": current, "tune": section}))
    module = mlops("training.tune_space")
    with pytest.raises(mlops("errors").Problem, match=message) as caught:
        module.check(mlops("params").section("tune", module.Params), current, Numbers)
    assert "\n" not in str(caught.value)


def test_an_unknown_metric_is_reported(mlops: Any, tune: Any, edit_params: Any) -> None:
    edit_params(tune={**PARAMS["tune"], "metric": "acuracy"})
    with pytest.raises(mlops("errors").Problem, match=r"tune\.metric: no metric acuracy; there"):
        tune.run(2, write=False)
    assert not finished(mlops, tune)


def test_whole_numbers_stay_whole(mlops: Any) -> None:
    module = mlops("training.tune_space")
    space = {"leaves": {"low": 2, "high": 64}, "rate": {"low": 1e-3, "high": 1}}
    tuned = module.Params(metric="auc", direction="maximize", space=space)
    assert module.check(tuned, {"rate": 0.2, "leaves": 31}, Numbers) == {"leaves"}


TEXT = """\
# The model's.
model:
  rate:   0.050   # a rate
  'kind': "one"
  leaves: 31

  other: [0.10, 1e-3,   x]
data: {since: '2013-01-01',  until: "2013-12-30"}
"""


def test_a_value_is_changed_in_place(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments, quotes, spaces and line endings stay, in block style and in flow style."""
    monkeypatch.chdir(tmp_path)
    file, write = Path("params.yaml"), mlops("params").write
    for newline in ("\n", "\r\n"):
        file.write_bytes(TEXT.replace("\n", newline).encode())
        write("model", {"rate": 1e-05, "kind": "two", "leaves": 64})
        after = TEXT.replace("0.050", "1.0e-05").replace('"one"', '"two"').replace("31", "64", 1)
        assert file.read_bytes().decode() == after.replace("\n", newline)
        write("data", {"since": "2014-01-01"})
        after = after.replace("2013-01-01", "2014-01-01")
        assert file.read_bytes().decode() == after.replace("\n", newline)


@pytest.mark.parametrize(
    "text",
    ["base: &b 1\nmodel:\n  rate: *b\n", "model:\n  leaves: 3\n"],
    ids=["alias", "no line"],
)
def test_a_file_that_cannot_be_edited_in_place_is_left_unchanged(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text)
    with pytest.raises(mlops("errors").Problem, match="cannot be edited in place"):
        mlops("params").write("model", {"rate": 2})
    assert Path("params.yaml").read_text() == text
