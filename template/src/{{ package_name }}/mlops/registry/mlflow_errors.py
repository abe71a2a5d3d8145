"""Errors of MLflow and of its dependencies as one line, with a remedy where one is known."""

import re
from collections.abc import Iterator

from ..errors import Problem

STORES = {
    *("mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3"),
    *("botocore", "boto3", "s3transfer", "azure", "google"),
}
"""Packages whose errors count as MLflow's: MLflow, its databases and its artifact stores."""

ADDRESS = "check MLFLOW_TRACKING_URI, or tracking-uri in pyproject.toml"
RIGHTS = (
    "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN,"
    " and its permissions"
)
HELP = {
    r"UNAUTHENTICATED|PERMISSION_DENIED|error code 40[13]": RIGHTS,
    r"ENDPOINT_NOT_FOUND|not in a valid JSON format|unsupported URI|No module named": ADDRESS,
    r"too many 5\d\d": "its server answers with errors: see its log, or try again",
    r"out-of-date database schema": "type `uv run mlflow db upgrade {uri}`",
    r"Can't locate revision": "a newer MLflow wrote this database: type `make setup`",
    r"database is locked": "another process is writing to it: try again",
    r"readonly database|unable to open|Permission denied|Read-only": "check the write permissions",
    r"not a database|malformed": "move the file away, or restore it from a backup",
}
"""Remedies by a pattern of the error's text."""


def problem(error: Exception, uri: str) -> Problem | None:
    """Return an error of MLflow as a Problem, or None for any other error."""
    if type(error).__module__.partition(".")[0] not in STORES:
        return None
    causes = [*_causes(error)]
    # For a failed request the first error says most; the others wrap it.
    unanswered = any(type(each).__module__.startswith("requests.") for each in causes)
    words = str(causes[-1] if unanswered else error).strip().splitlines() or [type(error).__name__]
    text = f"{getattr(error, 'error_code', '')} {' '.join(map(str, causes))}"
    remedies = (remedy for pattern, remedy in HELP.items() if re.search(pattern, text))
    return line(words[0], uri, next(remedies, ADDRESS if unanswered else ""))


def line(reason: str, uri: str, help_: str) -> Problem:
    """Return the Problem, without the password that the address may contain."""
    text = f"MLflow at {uri}: {reason[:300]}" + (f"; {help_}" if help_ else "")
    return Problem(re.sub(r"//[^/@\s]+@", "//", text.replace("{uri}", uri)))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__
