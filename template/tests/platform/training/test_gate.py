"""The gate rejects a model that breaks a rule, and the registry records what passed."""

import shutil
from pathlib import Path
from typing import Any

import pytest

SCORES = {"auc": 0.8, "loss": 0.4, "rows": 900, "baselines": {"simple": {"auc": 0.7}}}
SLICES = {"site=a": {"auc": 0.75}, "site=b": {"auc": 0.5}, "site=c": {"loss": 0.1}}


@pytest.mark.parametrize(
    ("rules", "broken"),
    [
        ({}, []),
        ({"metrics": {"auc": {"min": 0.8}}}, []),
        ({"metrics": {"auc": {"min": 0.81}}}, ["auc"]),
        ({"metrics": {"loss": {"max": 0.3}}}, ["loss"]),
        ({"slices": {"auc": {"min": 0.6}}}, ["auc of site=b"]),
        ({"baselines": {"simple": {"auc": {"min": 0.1}}}}, []),
        (
            {"baselines": {"simple": {"auc": {"min": 0.2}}}},
            ["auc less that of the baseline simple"],
        ),
    ],
)
def test_rules(mlops: Any, rules: dict[str, Any], broken: list[str]) -> None:
    verdicts = list(
        mlops("training.gate").judge(mlops("training.gate").Params(**rules), SCORES, SLICES)
    )
    assert [verdict.rule for verdict in verdicts if verdict.broken] == broken


def test_a_broken_rule_names_value_bound_and_distance(mlops: Any) -> None:
    message = mlops("training.gate").Bound(min=0.75).broken_by(0.5)
    assert all(number in message for number in ("0.5000", "0.2500", "0.75"))


def test_a_dependency_for_other_systems_is_not_a_requirement(
    mlops: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["pandas[parquet]>=2", "pywin32>=300; sys_platform == 'win32'", "gone; extra == 'x'"]
    changed = mlops("settings").settings().model_copy(update={"dependencies": lines})
    monkeypatch.setattr(mlops("training.register"), "settings", lambda: changed)
    (line,) = mlops("training.register").requirements()
    assert line.startswith("pandas==")


def test_nan_breaks_every_bound(mlops: Any) -> None:
    assert mlops("training.gate").Bound(min=0).broken_by(float("nan"))
    assert mlops("training.gate").Bound(max=0).broken_by(float("nan"))


@pytest.mark.parametrize(
    "rules",
    [
        {"metrics": {"auk": {"min": 0}}},
        {"slices": {"auk": {"min": 0}}},
        {"baselines": {"simpel": {"auc": {"min": 0}}}},
        {"baselines": {"simple": {"loss": {"min": 0}}}},
    ],
)
def test_a_rule_on_what_does_not_exist_is_an_error(mlops: Any, rules: dict[str, Any]) -> None:
    with pytest.raises(mlops("errors").Problem, match=r"params\.yaml: gate"):
        list(mlops("training.gate").judge(mlops("training.gate").Params(**rules), SCORES, SLICES))


def test_from_the_gate_to_the_registry_and_back(
    mlops: Any,
    trained: Any,
    workspace: Path,
    new_database: Path,
    edit_params: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One test, since each step needs the one before it and MLflow's store takes seconds."""
    gate, register, files = mlops("training.gate"), mlops("training.register"), mlops("files")
    problem = mlops("errors").Problem
    shutil.copytree(new_database, ".mlflow")

    # Without a champion only the absolute rules apply.
    metric = next(
        name
        for name, value in files.read_json(Path("reports/metrics.json")).items()
        if isinstance(value, float)
    )
    edit_params(gate={"metrics": {metric: {"min": 1e9}}})
    with pytest.raises(problem, match=f"nothing is registered: {metric} is"):
        gate.run()
    with pytest.raises(problem, match="has not passed"):
        register.run()
    assert mlops("registry.versions").champion() is None
    edit_params(gate={"metrics": {metric: {"min": -1e9}}})
    gate.run()
    passed = Path("reports/gate.json").read_bytes()
    monkeypatch.setenv("MLOPS_GIT_SHA", "abc-dirty")
    with monkeypatch.context() as patch:  # it ends while the model is logged
        patch.setattr(register, "requirements", lambda: next(iter(())))
        with pytest.raises(StopIteration):
            register.run()
    with mlops("registry.tracking").connected() as client:
        (run,) = client.search_runs([mlops("registry.tracking").experiment(client)])
        assert run.info.status == "FAILED"
    register.run()
    assert "uncommitted changes" in capsys.readouterr().out
    assert mlops("registry.lineage").get("1")["dirty"]
    first = files.read_json(Path("reports/registered.json"))
    assert first["version"] == 1

    # The same model again, now committed: no comparison with itself, no second version.
    monkeypatch.setenv("MLOPS_GIT_SHA", "abc")
    gate.run()
    assert Path("reports/gate.json").read_bytes() == passed
    register.run()
    assert files.read_json(Path("reports/registered.json")) == first

    # The version records where it comes from, and MLflow alone can load it.
    lineage = mlops("registry.lineage").get("1")
    assert lineage["model_digest"] == first["model_digest"] == files.digest(files.MODEL)
    assert lineage["data_digest"] == files.digest(files.DATASET)
    assert (lineage["gate"], lineage["engine"], lineage["aliases"]) == (
        "passed",
        "dvc",
        ["champion"],
    )
    assert (lineage["git_sha"], lineage["dirty"]) == ("abc", False)
    assert metric in lineage["metrics"]
    # The bounds are those of the passed verdict, not those that it broke before.
    (rule,) = lineage["rules"]
    assert (rule["rule"], rule["min"], rule["max"], rule["broken"]) == (metric, -1e9, None, "")
    assert rule["margin"] == pytest.approx(rule["value"] + 1e9)
    assert float(lineage["params"][f"gate.metrics.{metric}.min"]) == -1e9
    assert "at least -1e+09" in Path("reports/model_card.md").read_text()
    mlops("registry.lineage").show("1", as_json=False)
    assert first["model_digest"] in capsys.readouterr().out
    with pytest.raises(problem, match="no version 7 in MLflow; there are: 1"):
        mlops("registry.lineage").get("7")
    with mlops("registry.tracking").connected():
        import mlflow

        loaded = mlflow.pyfunc.load_model(f"models:/{first['name']}@champion")
        rows = mlops("data.dataset").read("test").head(9)
        columns = list(mlops("contract").schema().Features.to_schema().columns)
        assert loaded.predict(rows[columns]).equals(
            mlops("contract").model().predict(trained, rows)
        )

    # A challenger is compared with the champion on the same rows, using the champion's own code,
    # whatever model version a release names where it trains.
    monkeypatch.setenv("MLOPS_MODEL_VERSION", "9")
    monkeypatch.setenv("MLOPS_MODEL_DIGEST", "0" * 64)
    shutil.copytree("model", "champion")
    Path("model", "note").write_text("the same predictions under another digest")
    edit_params(gate={"champion": {metric: {"min": 0.001, "max": 1e9}}})
    with pytest.raises(problem, match=rf"{metric} less that of the champion \(version 1\) is 0\.0"):
        gate.run()
    assert mlops("registry.versions").champion().number == "1"
    # Prediction code is part of a model.
    assert Path("champion", "model.py").exists()
    with monkeypatch.context() as patch:  # the champion's predictions have another column name
        patch.setattr(mlops("contract").metrics(), "score", lambda _, rows: {metric: rows["new"]})
        with pytest.raises(problem, match=r"champion \(version 1\).*'new'.*empty gate\.champion"):
            gate.run()
    with monkeypatch.context() as patch:
        patch.setattr(gate, "champion_scores", lambda _: pytest.fail("the champion was run"))
        edit_params(gate={})
        gate.run()
    edit_params(gate={"champion": {metric: {"min": 0}}})
    gate.run()
    register.run()
    assert mlops("registry.versions").champion().number == "2"

    # The code is a part of a version, and so are later rows and scores.
    code = Path("src", mlops("settings").settings().package, "metrics.py")
    before = code.read_text()
    code.write_text(before + "\n# Changed.\n")
    register.run()
    assert mlops("registry.versions").champion().number == "3"
    code.write_text(before)
    scores = files.read_json(files.METRICS)
    files.write_json(files.METRICS, scores | {"later@10": 0.5})
    register.run()
    assert mlops("registry.versions").champion().number == "2"
    assert mlops("registry.lineage").get("2")["metrics"]["later@10"] == 0.5

    # A version whose files were deleted is reported, and is not reused for this model.
    shutil.rmtree(next(Path(".mlflow/artifacts/models").glob("*")).parent)
    monkeypatch.delenv("MLOPS_MODEL_VERSION")
    with pytest.raises(problem, match="has no files any more"):
        mlops("registry.fetch").run()
    register.run()
    assert mlops("registry.versions").champion().number == "4"
