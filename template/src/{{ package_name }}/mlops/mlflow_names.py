"""Names and values as MLflow takes them: what metrics and parameters are called is the team's."""

import hashlib
import posixpath
import re
from collections.abc import Iterable
from typing import Any

LONGEST_NAME = 250
LONGEST_VALUE = 6_000


def known_as(names: Iterable[str]) -> dict[str, str]:
    """Return MLflow's name for each name of one run; no two names have the same.

    A name that MLflow takes stays. `recall@10` becomes `recall_10`, and gets a digest where another
    name is `recall_10`.
    """
    plain = {name: _plain(name) for name in names}
    found = {name: name for name, its in plain.items() if its == name and len(name) <= LONGEST_NAME}
    for name in sorted(plain.keys() - found.keys()):
        short = plain[name][: LONGEST_NAME - 9]
        taken = plain[name] in found.values() or len(plain[name]) > LONGEST_NAME
        found[name] = f"{short}-{_digest(name)}" if taken else plain[name]
    return found


def value(parameter: Any) -> str:
    """Return a parameter's value as text; of one that is too long its beginning and a digest."""
    text = str(parameter)
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[: LONGEST_VALUE - 20]}... {_digest(text)}"


def _plain(name: str) -> str:
    """Return the name in the characters that MLflow takes; as a path, it leads to itself."""
    plain = re.sub(r"[^\w\-./ ]", "_", name)
    if posixpath.normpath(plain) != plain or plain == "." or plain.startswith(("/", "..")):
        return plain.replace("/", "_").lstrip(".") or "_"
    return plain


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
