"""Guarantees of the platform for a pipeline, each tested by breaking something on purpose."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from repos import Repo

Variant = Callable[[bool], Repo]


pytestmark = pytest.mark.usefixtures("once")


def _versions(repo: Repo) -> str:
    return repo.run("mlops", "lineage", "none").output


def test_a_worse_challenger_is_blocked_and_only_changed_stages_run(variant: Variant) -> None:
    repo = variant(True)
    before = _versions(repo)
    repo.edit("params.yaml", "learning_rate: 0.1", "learning_rate: 0.01")
    repo.edit("params.yaml", "rounds: 600", "rounds: 20")
    done = repo.run("dvc", "repro")
    assert done.code != 0
    for stage in ("ingest", "features", "dataset"):
        assert f"'{stage}' didn't change, skipping" in done.output
    for stage in ("train", "evaluate", "gate"):
        assert f"Running stage '{stage}'" in done.output
    assert "roc_auc less that of the champion (version 1) is -0." in done.output
    assert "Traceback" not in done.output
    assert _versions(repo) == before


def test_a_users_file_next_to_the_raw_tables_is_kept(variant: Variant) -> None:
    repo = variant(True)
    for name in ("mine.csv", "flights.parquet"):
        own = repo.folder / "data/raw" / name
        before = own.read_bytes() if own.exists() else b""
        own.unlink(missing_ok=True)  # it may be a link to a file in DVC's cache
        own.write_text("1,2\n")
        done = repo.run("dvc", "repro", "--force", "ingest")
        assert done.code != 0
        assert f"data/raw/{name}" in done.output
        assert own.read_text() == "1,2\n"
        own.write_bytes(before) if before else own.unlink()
    assert repo.run("dvc", "repro", "ingest").code == 0


def test_a_better_challenger_becomes_the_second_version(trained: Repo, variant: Variant) -> None:
    repo = variant(True)
    repo.edit("params.yaml", "seed: 7", "seed: 8")
    repo.edit("params.yaml", "num_leaves: 31", "num_leaves: 47")
    repo.edit("params.yaml", "{min: -0.002}", "{min: -0.02}")
    done = repo.run("dvc", "repro")
    assert done.code == 0
    assert "version 2 is the champion" in done.output

    # With the first parameters, the model comes from DVC's cache, but the gate runs again.
    shutil.copy(trained.folder / "params.yaml", repo.folder)
    again = repo.run("dvc", "repro")
    assert "Running stage 'train'" not in again.output
    assert "roc_auc less that of the champion (version 2)" in again.output


def test_lineage_is_complete_and_registering_is_idempotent(trained: Repo, variant: Variant) -> None:
    repo = variant(True)
    before = _versions(repo)
    assert repo.run("mlops", "register").code == 0
    assert _versions(repo) == before
    lineage = json.loads(repo.run("mlops", "lineage", "1", "--json").output)
    head = trained.run("git", "rev-parse", "HEAD").output.strip()
    assert lineage["git_sha"] == head
    assert lineage["gate"] == "passed"
    assert len(lineage["data_digest"]) == len(lineage["model_digest"]) == 64
    assert lineage["params"]["model.learning_rate"] == "0.1"
    scores = json.loads((repo.folder / "reports" / "metrics.json").read_text())
    assert lineage["metrics"]["roc_auc"] == scores["roc_auc"]


def test_a_model_can_be_registered_with_another_mlflow(variant: Variant) -> None:
    repo = variant(True)
    repo.env["MLFLOW_TRACKING_URI"] = f"sqlite:///{repo.folder}/other.db"
    assert "'register' didn't change" in repo.run("dvc", "repro").output
    assert "type `make pipeline`, or, if nothing" in repo.run("mlops", "production").output
    assert repo.run("make", "register").code == 0
    assert repo.run("mlops", "production").output.endswith(" version 1\n")


@pytest.mark.parametrize(
    ("file", "old", "new", "stage", "messages"),
    [
        ("data.py", '"distance"]\n', '"distance"]\n    table["distance"] -= 200\n', "ingest",
         ["flights breaks the schema", "distance: greater_than_or_equal_to(1)", "rows:"]),
        ("model.py", "def train(", "def fit(", "train",
         ["model.py has no train(train, valid, params)"]),
        ("../../params.yaml", "learning_rate: 0.1", "learning_rate: fast", "train",
         ["params.yaml: model.learning_rate:", "'fast'"]),
        ("../../params.yaml", "  roc_auc: {min: 0.70}", "  roc_au: {min: 0.70}", "gate",
         ["gate.metrics", "no metric roc_au"]),
    ],
    ids=["rows", "function", "parameter", "metric"],
)  # fmt: skip
def test_a_mistake_is_reported_in_one_line(
    variant: Variant, file: str, old: str, new: str, stage: str, messages: list[str]
) -> None:
    repo = variant(True)
    repo.edit(f"src/{_package(repo)}/{file}", old, new)
    done = repo.run("dvc", "repro", stage)
    assert done.code != 0
    for message in messages:
        assert message in done.output
    assert "Traceback" not in done.output
    partial = re.compile(r"\.(raw|features|dataset|model|curves)-.*|.*\.part")
    assert not [path for path in repo.folder.rglob(".*") if partial.fullmatch(path.name)]


def test_a_notebook_with_outputs_is_refused_and_can_be_cleaned(repo: Repo) -> None:
    notebook = "notebooks/explore.ipynb"
    clean = (repo.folder / notebook).read_bytes()
    output = '"outputs": [{"output_type": "stream", "name": "stdout", "text": ["seen"]}]'
    repo.edit(notebook, '"outputs": []', output)
    try:
        done = repo.run("make", "lint")
        assert done.code != 0
        assert f"{notebook} carries outputs or metadata: type make format" in done.output
        assert repo.run("make", "format").code == 0
        assert (repo.folder / notebook).read_bytes() == clean
    finally:
        (repo.folder / notebook).write_bytes(clean)


def test_an_unreachable_mlflow_is_reported_in_one_line(variant: Variant) -> None:
    repo = variant(True)
    verdict = (repo.folder / "reports" / "registered.json").read_bytes()
    done = repo.run("mlops", "register", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.code == 1
    assert done.output.splitlines()[-1].startswith("mlops register: MLflow at http://127.0.0.1:9")
    assert "Traceback" not in done.output
    assert (repo.folder / "reports" / "registered.json").read_bytes() == verdict


@pytest.mark.parametrize(
    ("part", "name"), [("runner", "stage_over_s3"), ("serving", "service_over_redis_and_s3")]
)
def test_stages_and_service_work_with_the_stores_of_a_cluster(
    repo: Repo, root: Path, need: Callable[[str], str], part: str, name: str
) -> None:
    if "redis" in name:
        need("redis-server")
    test = repo.folder / "tests" / "platform" / part / f"test_{name}.py"
    shutil.copy(root / "tests" / "smoke" / f"{name}.py", test)
    moto = ("--with", "moto[s3,server]>=5.2,<6")
    try:
        done = repo.run("uv", "run", "--frozen", *moto, "pytest", str(test))
    finally:
        test.unlink()
    assert done.code == 0


def _package(repo: Repo) -> str:
    return next(path.parent.parent.name for path in repo.folder.glob("src/*/mlops/cli.py"))
