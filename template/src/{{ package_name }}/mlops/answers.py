"""The Copier answers that this repo was generated with. Standard library only."""

import re
from pathlib import Path

from .errors import Problem

ANSWERS = ".copier-answers.yml"


def answer(root: Path, name: str) -> str:
    """Return the recorded answer, or "" if there is none.

    Raises:
        Problem: the answers file is missing.
    """
    file = root / ANSWERS
    if not file.exists():
        raise Problem(f"no {ANSWERS}: restore it, as with `git checkout HEAD -- {ANSWERS}`")
    match = re.search(rf"^{name}: *['\"]?(.*?)['\"]?$", file.read_text(), re.MULTILINE)
    return match[1] if match else ""
