"""Run the batch pipeline here for a day, or for each day of a range."""

import os
import subprocess
import sys
from datetime import date, timedelta
from typing import Any

from . import files, outs
from .errors import Problem
from .publish import PUBLISHED

FILE = "batch/dvc.yaml"


def run(day: str, first: str, last: str) -> None:
    """`dvc repro` for each day; the first that fails ends it, and the days before it are done.

    Without a day the pipeline takes the latest that has rows.

    Raises:
        Problem: a stage failed; whether the day is published all the same, and how to go on.
    """
    days = _days(day, first, last)
    outs.check()
    for each in days:
        named, before = {"MLOPS_DATE": str(each)} if each else {}, _published()
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "repro", FILE], env=os.environ | named, check=False
        )
        if not done.returncode:
            continue
        # Each time that a day is published, the table has another version.
        if (now := _published()) and now != before:
            again = f"make batch DATE={each}" if each else "make batch"
            raise Problem(
                f"{now['date']} is published, and its comparison failed: see above;"
                f" to do it again, type `{again}`{_rest('go on', each, days)}"
            )
        raise Problem(
            f"{each or 'the batch'} is not published: see above{_rest('leave it out', each, days)}"
        )


def _published() -> Any:
    return files.read_json(PUBLISHED) if PUBLISHED.exists() else None


def _days(day: str, first: str, last: str) -> list[date | None]:
    if day and (first or last):
        raise Problem("a day or a range: type DATE=2013-12-30, or FROM=2013-12-01 TO=2013-12-07")
    if day:
        return [_said("DATE", day)]
    if not first and not last:
        return [None]
    if not first or not last:
        raise Problem("a range has two ends: type FROM=2013-12-01 TO=2013-12-07")
    start, end = _said("FROM", first), _said("TO", last)
    if start > end:
        raise Problem(f"FROM={start} is after TO={end}: change them round")
    return [start + timedelta(days=number) for number in range((end - start).days + 1)]


def _said(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Problem(f"{name}={text} is no day: type one like {name}=2013-12-30") from None


def _rest(what: str, day: date | None, days: list[date | None]) -> str:
    """How to go on after a day of a range that failed."""
    if not day or day == days[-1]:
        return ""
    return f"; to {what}, type FROM={day + timedelta(days=1)} TO={days[-1]}"
