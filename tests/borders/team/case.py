"""The current case, set by the generator here and in a file for other processes."""

import os
import pickle
from pathlib import Path
from typing import Any

CURRENT: Any = None


def current() -> Any:
    """Return the current case; processes other than the generator's read it from the file."""
    return CURRENT or pickle.loads(Path(os.environ["CASE_FILE"]).read_bytes())
