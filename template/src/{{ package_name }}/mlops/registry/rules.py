"""The rules of a verdict, as stored in gate.json and with a registered version."""

from collections.abc import Mapping
from typing import Any


def limits(rule: Mapping[str, Any]) -> str:
    """Return the bound of a rule as text, such as "at least 0.5 and at most 1"."""
    ends = {"at least": rule.get("min"), "at most": rule.get("max")}
    return " and ".join(f"{name} {end:g}" for name, end in ends.items() if end is not None)


def margin(rule: Mapping[str, Any]) -> float | None:
    """Return the distance of a rule's value from its nearest bound, negative if it is broken."""
    ends = [(rule.get("min"), 1), (rule.get("max"), -1)]
    margins = [sign * (rule["value"] - end) for end, sign in ends if end is not None]
    return min(margins, default=None)
