"""Files that people put into a folder that a stage writes are not deleted silently."""

from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

STAGES = """
stages:
  ingest:
    cmd: mkdir -p data/raw && cp params.yaml data/raw/table
    params: [data]
    outs: [data/raw]
  shard:
    foreach: [0, 1]
    do:
      cmd: mkdir -p data/${item} && touch data/${item}/table
      outs: ["data/${item}"]
"""


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(STAGES)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    Path("params.yaml").write_text("data: 1\n")
    Repo.init(no_scm=True).close()
    return tmp_path


def _reproduce() -> None:
    with Repo() as repo:
        repo.reproduce()


def test_a_users_file_stops_the_pipeline_and_is_kept(mlops: Any, repo: Path) -> None:
    check, problem = mlops("runner.outs").check, mlops("errors").Problem
    mine = Path("data/raw/deep/mine.csv")
    mine.parent.mkdir(parents=True)
    mine.write_text("the only copy")
    with pytest.raises(problem, match=r"^data/raw/deep/mine\.csv: no stage wrote this"):
        check()  # before the first run of the stage
    assert mine.read_text() == "the only copy"
    mine.rename("mine.csv")
    mine.parent.rmdir()
    _reproduce()
    check()  # all files were written by stages
    Path("data/raw/of an earlier run").write_text("data: 1\n")
    check()  # its content is in the cache
    compiled = Path("data/raw/__pycache__/code.pyc")
    compiled.parent.mkdir()
    compiled.touch()
    check()  # caches of Python are ignored
    for name in ("raw/mine", "0/mine", "1/mine"):
        Path("data", name).write_text("mine")
    with pytest.raises(problem, match=r"^data/0/mine, data/1/mine, data/raw/mine: no stage"):
        check()


def test_a_users_file_in_place_of_an_output_is_kept(mlops: Any, repo: Path) -> None:
    _reproduce()
    table = Path("data/raw/table")
    table.unlink()  # it may be a link into DVC's cache
    table.write_text("mine")
    with pytest.raises(mlops("errors").Problem, match=r"^data/raw/table: no stage"):
        mlops("runner.outs").check(Path("data/raw"))
    assert table.read_text() == "mine"


def test_output_of_a_failed_stage_does_not_stop_the_pipeline(mlops: Any, repo: Path) -> None:
    with mlops("files").replacing(Path("data/raw")) as folder:
        (folder / "table").write_text("of a stage that failed later, so DVC has no record of it")
    mlops("runner.outs").check()
