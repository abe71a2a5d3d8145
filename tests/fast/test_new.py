"""`make new` creates a repo with its first commit, or an error with what to type and no repo."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

New = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def new(template: Path, tmp_path: Path) -> New:
    """Run the script in a clone of this checkout; `answers` is the text of an answers file."""

    def run(folder: Path, answers: str | None = "{}\n") -> subprocess.CompletedProcess[str]:
        file = tmp_path / "answers.yml"
        if answers is not None:
            file.write_text(answers)
        return subprocess.run(
            [sys.executable, template / "hooks" / "new.py", folder, "--answers", file],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_new_repo_is_committed(new: New, tmp_path: Path, git: Callable[..., str]) -> None:
    folder = tmp_path / "my model"
    done = new(folder, "orchestrator: temporal\nproject_name: My Model\n")
    assert done.returncode == 0, done.stderr
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "log", "--format=%s") == "Start from copier-mlops\n"
    assert (folder / "orchestration" / "temporal").is_dir()
    assert "make setup pipeline" in done.stdout


def test_a_folder_in_a_larger_repository_remains_part_of_it(
    new: New, tmp_path: Path, git: Callable[..., str]
) -> None:
    """Unless the larger repository ignores the folder."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("/own/\n")
    for name, own in (("part", False), ("own", True)):
        assert new(tmp_path / name).returncode == 0
        assert (tmp_path / name / ".git").exists() == own


def test_updates_come_from_the_origin_of_the_checkout(new: New, tmp_path: Path, root: Path) -> None:
    new(tmp_path / "repo")
    answers = yaml.safe_load((tmp_path / "repo" / ".copier-answers.yml").read_text())
    assert answers["_src_path"] == str(root)
    assert answers["_commit"] == "v999.0.0"


def test_a_folder_with_files_is_refused_and_left_unchanged(new: New, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "mine").write_text("precious")
    done = new(folder)
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("orchestrater: airflow\n", "no question is called orchestrater"),
        ("_src_path: elsewhere\n", "no question is called _src_path"),
        ("orchestrator: jenkins\n", "'jenkins' is not in"),
        ("package_name: class\n", "such as: class_model"),
        ("[airflow]\n", "must contain lines like"),
        ("a: [\n", "is not YAML"),
        (None, "there is no answers file"),
    ],
)
def test_invalid_answers_are_refused_and_nothing_is_created(
    new: New, tmp_path: Path, answers: str | None, message: str
) -> None:
    done = new(tmp_path / "repo", answers)
    assert done.returncode == 1
    assert done.stderr.startswith("make new: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "repo").exists()
