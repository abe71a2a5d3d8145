"""Escaping of names and values, because Streamlit renders most texts as Markdown."""

import re


def plain(text: object) -> str:
    """Return a value as Markdown that shows it literally, even if it contains `$` or `:`."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$~:])", r"\\\1", " ".join(str(text).split()))


def words(name: object) -> str:
    """Return the name of a column or a metric as a heading or a label."""
    return plain(str(name).replace("_", " "))
