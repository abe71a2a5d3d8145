"""Run the batch pipeline locally for one day, or for each day of a range."""

import os
import subprocess
import sys
from datetime import date, timedelta
from typing import Any

from .. import files
from ..errors import Problem
from ..runner import outs
from .publish import PUBLISHED

FILE = "batch/dvc.yaml"


def run(day: str, first: str, last: str) -> None:
    """Run `dvc repro` for each day, and stop at the first that fails.

    Without a day, the pipeline takes the latest one that has rows.

    Raises:
        Problem: a stage failed. The message says if the day was published, and how to continue.
    """
    days = _days(day, first, last)
    outs.check()
    for each in days:
        date_variable, before = {"MLOPS_DATE": str(each)} if each else {}, _published()
        env = os.environ | date_variable
        done = subprocess.run([sys.executable, "-m", "dvc", "repro", FILE], env=env, check=False)
        if not done.returncode:
            continue
        # Publishing a day always makes a new version of the table.
        if (now := _published()) and now != before:
            command = f"make batch DATE={each}" if each else "make batch"
            raise Problem(
                f"{now['date']} was published, but the drift comparison failed: see above;"
                f" to run it again, type `{command}`{_rest('continue', each, days)}"
            )
        raise Problem(
            f"{each or 'the batch'} was not published: see above{_rest('skip it', each, days)}"
        )


def _published() -> dict[str, Any] | None:
    return files.read_json(PUBLISHED) if PUBLISHED.exists() else None


def _days(day: str, first: str, last: str) -> list[date | None]:
    if day and (first or last):
        raise Problem("a day or a range: type DATE=2013-12-30, or FROM=2013-12-01 TO=2013-12-07")
    if day:
        return [_parse("DATE", day)]
    if not first and not last:
        return [None]
    if not first or not last:
        raise Problem("a range needs both ends: type FROM=2013-12-01 TO=2013-12-07")
    start, end = _parse("FROM", first), _parse("TO", last)
    if start > end:
        raise Problem(f"FROM={start} is after TO={end}: swap them")
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


def _parse(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Problem(f"{name}={text} is not a date: type one like {name}=2013-12-30") from None


def _rest(purpose: str, day: date | None, days: list[date | None]) -> str:
    """Return the hint for the rest of a range after a day that failed."""
    if not day or day == days[-1]:
        return ""
    return f"; to {purpose}, type FROM={day + timedelta(days=1)} TO={days[-1]}"
