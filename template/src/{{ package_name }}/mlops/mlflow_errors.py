"""What MLflow and what it stands on raise, as a line that says what helps."""

import re
from collections.abc import Iterator

from .errors import Problem

STORES = {
    *("mlflow", "sqlalchemy", "sqlite3", "alembic", "requests", "urllib3"),
    *("botocore", "boto3", "s3transfer", "azure", "google"),
}
"""The packages whose errors are MLflow's: its own, its databases' and its artifact stores'."""

ADDRESS = "check MLFLOW_TRACKING_URI, or tracking-uri in pyproject.toml"
RIGHTS = (
    "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN,"
    " and what they may do"
)
HELP = {
    r"UNAUTHENTICATED|PERMISSION_DENIED|error code 40[13]": RIGHTS,
    r"ENDPOINT_NOT_FOUND|not in a valid JSON format|unsupported URI|No module named": ADDRESS,
    r"too many 5\d\d": "its server answers with errors: see its log, or try again",
    r"out-of-date database schema": "type `uv run mlflow db upgrade {uri}`",
    r"Can't locate revision": "a newer MLflow wrote this database: type `make setup`",
    r"database is locked": "another process writes into it: try again",
    r"readonly database|unable to open|Permission denied|Read-only": "see who may write there",
    r"not a database|malformed": "move the file away, or bring it back from a backup",
}
"""What helps, by what the error says."""


def problem(error: Exception, uri: str) -> Problem | None:
    """Return the line for an error of MLflow's, and None for any other."""
    if type(error).__module__.partition(".")[0] not in STORES:
        return None
    causes = [*_causes(error)]
    # Of a request that failed, what failed first says most; the rest are its wrappers.
    unanswered = any(type(each).__module__.startswith("requests.") for each in causes)
    words = str(causes[-1] if unanswered else error).strip().splitlines() or [type(error).__name__]
    said = f"{getattr(error, 'error_code', '')} {' '.join(map(str, causes))}"
    helps = (line for pattern, line in HELP.items() if re.search(pattern, said))
    return line(words[0], uri, next(helps, ADDRESS if unanswered else ""))


def line(reason: str, uri: str, help_: str) -> Problem:
    """Return the line, without the password that an address may hold."""
    text = f"MLflow at {uri}: {reason[:300]}" + (f"; {help_}" if help_ else "")
    return Problem(re.sub(r"//[^/@\s]+@", "//", text.replace("{uri}", uri)))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__
