"""Run the batch pipeline here for a day, or for each day of a range."""

import os
import subprocess
import sys
from datetime import date, timedelta

from .errors import Problem

FILE = "batch/dvc.yaml"


def run(day: str, first: str, last: str) -> None:
    """`dvc repro` for each day; the first that fails ends it, and the days before it are done.

    Without a day the pipeline takes the latest that has rows.
    """
    days = _days(day, first, last)
    for each in days:
        named = {"MLOPS_DATE": str(each)} if each else {}
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "repro", FILE], env=os.environ | named, check=False
        )
        if done.returncode:
            raise Problem(f"{each or 'the batch'} is not published: see above{_rest(each, days)}")


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


def _rest(day: date | None, days: list[date | None]) -> str:
    """How to go on after a day of a range that failed."""
    if not day or day == days[-1]:
        return ""
    return f"; to leave it out, type FROM={day + timedelta(days=1)} TO={days[-1]}"
