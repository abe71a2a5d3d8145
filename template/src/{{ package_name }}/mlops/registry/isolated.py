"""Run a registered model with the code that it was registered with."""

import subprocess
import sys
from pathlib import Path

from ..errors import Problem
from . import tracking

PREDICT = Path(__file__).with_name("predict.py")


def by_own_code(model: Path, table: Path, out: Path) -> None:
    """Predict with the code that the model was registered with, not with this repo's.

    Raises:
        Problem: that code failed; with the last line of its standard error.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.run(
        [sys.executable, PREDICT, model, table, out],
        env=tracking.environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["no error message"])[-1]
        raise Problem(f"the registered model cannot score {table}: {reason}")
