"""The case that runs now: the generator puts it here, and in a file for other processes."""

import os
import pickle
from pathlib import Path
from typing import Any

CURRENT: Any = None


def current() -> Any:
    """Return the case; a process that the generator did not start the case in reads the file."""
    return CURRENT or pickle.loads(Path(os.environ["CASE_FILE"]).read_bytes())
