"""`mlops doctor`: what is wrong with the repo, its tools or services, and what to type."""

import json
from dataclasses import asdict

from ..errors import Problem
from . import checks
from .checks import Check, Finding

FIX, ADVICE = 1, 3
"""Exit codes: something must be fixed; everything works, but with advice. 2 is a usage error."""


def run(names: list[str], as_json: bool) -> int:
    """Run the checks, print their findings, and return the exit code.

    Raises:
        Problem: there is no such check.
    """
    available = checks.CHECKS
    if unknown := [name for name in names if name not in available]:
        raise Problem(f"no check is called {', '.join(unknown)}; there are {', '.join(available)}")
    results = {}
    for name in names or available:
        results[name] = _run(available[name])
        if not as_json:
            _show(name, results[name])
    if as_json:
        output = {name: [asdict(each) for each in findings] for name, findings in results.items()}
        print(json.dumps(output, indent=2))
    levels = {finding.level for findings in results.values() for finding in findings}
    return FIX if "fix" in levels else ADVICE if "advice" in levels else 0


def _run(check: Check) -> list[Finding]:
    """Run a check; its failure is a finding, so that the other checks still run."""
    try:
        return list(check())
    except Problem as problem:
        return [Finding(str(problem))]
    except Exception as error:
        return [Finding(f"the check itself failed: {type(error).__name__}: {error}")]


def _show(name: str, findings: list[Finding]) -> None:
    if all(finding.level == "knowing" for finding in findings):
        print(f"ok       {name}", flush=True)
    for finding in findings:
        label = "" if finding.level == "knowing" else finding.level
        print(f"{label:<8} {name}: {finding.what}", flush=True)
        if finding.remedy:
            print(f"{'':<8}   {finding.remedy}", flush=True)
