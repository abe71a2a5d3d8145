"""`make demo`, the first command of a new user."""

import subprocess
import sys
from pathlib import Path


def test_the_demo_trains_a_model_and_prints_a_summary(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(root / "hooks/demo.py"), str(tmp_path / "late flights")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    _, _, summary = done.stdout.partition("is the champion")
    for text in ("the model", "logistic", "roc_auc", "passed:", "version 1", "stage train", "cd "):
        assert text in summary
