"""When an engine starts a pipeline: a cron line that means the same to each of them.

After an outage of the engine or its server, the last run that was missed is made up for and none
before it (on Argo, if it is less than a day late). Older days are run by their date.
"""

import re
from datetime import UTC, datetime

from .errors import Problem

HINT = 'type minute, hour, day of month, month and weekday in UTC, like "0 5 * * 1"'


def numbers(pipeline: str, line: str) -> str:
    """Return the line with each field as numbers or `*`, which all engines read the same way.

    As in cron, a line that restricts both days of the month and weekdays holds on either.

    Raises:
        Problem: it is no cron line, its day never comes, or not every engine knows what it says.
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
    # A name has three letters: what is shorter is L, W, R or H, and # is in nth_weekday.
    extensions = nth_weekday or (line[0] != "@" and re.search(r"\b\d*[a-z]{1,2}\d*\b", line, re.I))
    if len(fields) != 5 or extensions:
        raise Problem(f"{where}: not every engine knows seconds, L, W, H, R or #: {HINT}")
    return " ".join(",".join(map(str, field)) for field in fields)
