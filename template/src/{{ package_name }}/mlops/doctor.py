"""`mlops doctor`: what is wrong with the repo or with what it needs, where, and what to type."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from .errors import Problem

MEND, ADVICE = 1, 3
"""Exit codes: something must be mended; or all works, and there is advice. 2 is a usage error."""


@dataclass(frozen=True)
class Finding:
    """What is wrong and what to type; what is worth `knowing` is neither."""

    what: str
    remedy: str = ""
    level: Literal["mend", "advice", "knowing"] = "mend"


Check = Callable[[], Iterable[Finding]]


def run(names: list[str], as_json: bool) -> int:
    """Run the checks, print what they find, and give the exit code.

    Raises:
        Problem: there is no such check.
    """
    from .checks import CHECKS

    if unknown := [name for name in names if name not in CHECKS]:
        raise Problem(f"no check is called {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    results = {}
    for name in names or CHECKS:
        results[name] = _run(CHECKS[name])
        if not as_json:
            _show(name, results[name])
    if as_json:
        found = {name: [asdict(one) for one in findings] for name, findings in results.items()}
        print(json.dumps(found, indent=2))
    levels = {finding.level for findings in results.values() for finding in findings}
    return MEND if "mend" in levels else ADVICE if "advice" in levels else 0


def _run(check: Check) -> list[Finding]:
    """A check that fails is a finding: it must not hide the others'."""
    try:
        return list(check())
    except Problem as problem:
        return [Finding(str(problem))]
    except Exception as error:
        return [Finding(f"the check itself fails: {type(error).__name__}: {error}")]


def _show(name: str, findings: list[Finding]) -> None:
    if all(finding.level == "knowing" for finding in findings):
        print(f"ok       {name}", flush=True)
    for finding in findings:
        label = "" if finding.level == "knowing" else finding.level
        print(f"{label:<8} {name}: {finding.what}", flush=True)
        if finding.remedy:
            print(f"{'':<8}   {finding.remedy}", flush=True)
