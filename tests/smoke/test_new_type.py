"""A new model type needs a folder, a choice and a scenario, and no other change."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NAME, LIKE = "sixth", "anomaly"


@pytest.fixture
def checkout(template: Path, tmp_path: Path, git: Callable[..., str]) -> Path:
    """A clone of this checkout with the new type."""
    clone = tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", "--no-tags", str(template), str(clone))
    folder = clone / "model_types" / NAME
    shutil.copytree(clone / "model_types" / LIKE, folder, symlinks=True)
    for file in [*folder.glob("tests/*.py"), *folder.glob("notebooks/*.ipynb")]:
        text = file.read_text().replace(f"from {LIKE} import", f"from {NAME} import")
        file.write_text(text)
    questions = clone / "copier.yml"
    text = questions.read_text()
    first = next(line for line in text.splitlines() if line.endswith(": classification"))
    questions.write_text(text.replace(first, f'{first}\n    "{NAME}: one more": {NAME}', 1))
    answers = f"model_type: {NAME}\norchestrator: airflow\n"
    (clone / "scenarios" / f"airflow-{NAME}.yml").write_text(answers)
    return clone


def test_a_sixth_type_needs_no_other_change(checkout: Path, git: Callable[..., str]) -> None:
    changed = {line[3:].rstrip("/") for line in git(checkout, "status", "--porcelain").splitlines()}
    assert changed == {
        "copier.yml",
        f"model_types/{NAME}",
        f"scenarios/airflow-{NAME}.yml",
    }
    for tests, chosen in {
        "tests/fast/test_render.py": NAME,
        "tests/fast/test_jinja_files.py": "",
        "tests/smoke/test_scenario.py": f"{NAME} and not unit_tests and not lint",
    }.items():
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests]
        done = subprocess.run(
            [*command, "-k", chosen, "--basetemp", str(checkout.parent / "pytest")],
            cwd=checkout,
            env=os.environ | {"SCENARIO": f"airflow-{NAME}"},
            capture_output=True,
            text=True,
            check=False,
        )
        print(done.stdout, done.stderr)
        assert done.returncode == 0
        assert " passed" in done.stdout
