"""Convert names and values to what MLflow accepts: a team may name metrics as it likes."""

import hashlib
import posixpath
import re
from collections.abc import Iterable

LONGEST_NAME = 250
LONGEST_VALUE = 6_000


def accepted(names: Iterable[str]) -> dict[str, str]:
    """Return MLflow's name for each name of one run; all results are distinct.

    A name that MLflow accepts stays. `recall@10` becomes `recall_10`, with a digest appended if
    another name is `recall_10`.
    """
    plain = {name: _plain(name) for name in names}
    result = {old: old for old, new in plain.items() if new == old and len(old) <= LONGEST_NAME}
    for name in sorted(plain.keys() - result.keys()):
        short = plain[name][: LONGEST_NAME - 9]
        taken = plain[name] in result.values() or len(plain[name]) > LONGEST_NAME
        result[name] = f"{short}-{_digest(name)}" if taken else plain[name]
    return result


def value(parameter: object) -> str:
    """Return a parameter's value as text; a text that is too long is cut and gets a digest."""
    text = str(parameter)
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[: LONGEST_VALUE - 20]}... {_digest(text)}"


def _plain(name: str) -> str:
    """Return the name in characters that MLflow accepts, and as a normalized relative path."""
    plain = re.sub(r"[^\w\-./ ]", "_", name)
    if posixpath.normpath(plain) != plain or plain == "." or plain.startswith(("/", "..")):
        return plain.replace("/", "_").lstrip(".") or "_"
    return plain


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
