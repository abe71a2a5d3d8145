"""The notebooks run from the first cell to the last, on the pipeline's outputs for the sample."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.glob("notebooks/**/*.ipynb")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)


def run(tool: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name(tool)), *arguments],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "agg", "MLFLOW_TRACKING_URI": "sqlite:///unused.db"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_each_cell_runs(trained: Any, workspace: Path, notebook: str) -> None:
    copy = workspace / notebook
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / notebook, copy)
    done = run("nbdev-test", notebook, "--n-workers", "0", folder=workspace)
    assert done.returncode == 0, done.stderr
    assert "Success." in done.stdout


def test_a_failing_cell_fails_the_notebook(workspace: Path) -> None:
    cell = '{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "source": ["1 / 0"]}'
    notebook = workspace / "notebooks" / "broken.ipynb"
    notebook.parent.mkdir(exist_ok=True)
    text = f'{{"cells": [{cell}], "metadata": {{}}, "nbformat": 4, "nbformat_minor": 5}}'
    notebook.write_text(text)
    done = run("nbdev-test", str(notebook), "--n-workers", "0", folder=workspace)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
