"""Names and values as Streamlit is to show them: it takes most texts for Markdown."""

import re


def plain(text: object) -> str:
    """Return any value as Markdown that reads as the value does, also with a `$` or a `:` in it."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$~:])", r"\\\1", " ".join(str(text).split()))


def words(name: object) -> str:
    """Return the name of a column or a metric as a heading or a label."""
    return plain(str(name).replace("_", " "))
