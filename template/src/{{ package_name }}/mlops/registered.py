"""Run a registered model by the code that it was registered with."""

import subprocess
import sys
from pathlib import Path

from . import tracking
from .errors import Problem

PREDICT = Path(__file__).with_name("predict.py")


def by_own_code(model: Path, table: Path, out: Path) -> None:
    """Predict with the code that the model was registered with, whatever this repo's is now.

    Raises:
        Problem: that code failed; the last line that it said.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, PREDICT, model, table, out],
        env=tracking.environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Problem(f"the registered model cannot score {table}: {reason}")
