"""Schedules of pipelines: cron lines that every engine reads the same way.

After an outage of the engine or its server, only the latest missed run is started (on Argo, if it
is less than a day late). To run older days, pass their dates.
"""

import re
from datetime import UTC, datetime

from ..errors import Problem

HINT = 'type minute, hour, day of month, month and weekday in UTC, like "0 5 * * 1"'


def numbers(pipeline: str, line: str) -> str:
    """Return the cron line with each field as numbers or `*`, which all engines read alike.

    As in cron, a line that restricts both days of the month and weekdays matches either.

    Raises:
        Problem: the line is not valid cron, never matches, or uses an extension that not every
            engine supports.
    """
    from croniter import CroniterBadCronError, CroniterBadDateError, croniter

    if not line:
        return ""
    where = f"pyproject.toml: [tool.mlops.pipelines.{pipeline}] schedule {line!r}"
    try:
        fields, nth_weekday = croniter.expand(line)
        croniter(line, datetime.now(UTC)).get_next()
    except CroniterBadCronError as error:
        raise Problem(f"{where}: {error}: {HINT}") from None
    except CroniterBadDateError:
        raise Problem(f"{where}: there is no such day: {HINT}") from None
    # Names of months and weekdays have three letters: shorter words are the extensions L, W, R
    # and H. The extension # is in nth_weekday.
    extensions = nth_weekday or (line[0] != "@" and re.search(r"\b\d*[a-z]{1,2}\d*\b", line, re.I))
    if len(fields) != 5 or extensions:
        raise Problem(f"{where}: not every engine supports seconds, L, W, H, R or #: {HINT}")
    return " ".join(",".join(map(str, field)) for field in fields)
