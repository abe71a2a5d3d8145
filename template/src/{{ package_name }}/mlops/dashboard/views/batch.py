"""What was published: how many predictions a day, and how the last day's are distributed."""

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from ... import contract, delta, tables
from ...errors import Problem
from ...settings import settings
from .. import charts
from ..history import SECONDS
from ..text import words

TITLE, ICON, PLACE = "Batches", ":material/event_available:", 3

BINS, VALUES = 40, 20


def show() -> None:
    """Draw the page."""
    table = settings().predictions
    days = _days(table)
    day = str(st.selectbox("Day", list(days["day"])[::-1]))
    rows, versions, predictions = _summary(table, day)
    st.caption(f"{rows:,} predictions of {', '.join(f'version {one}' for one in versions)}")
    drawn = {name: charts.distribution(found) for name, found in predictions.items()}
    drawn |= {"predictions a day": charts.days(days)}
    areas = st.columns(2)
    for number, (name, chart) in enumerate(drawn.items()):
        with areas[number % 2]:
            st.subheader(words(name.capitalize()))
            st.altair_chart(chart)


@st.cache_data(ttl=SECONDS, show_spinner="Reading the table's log")
def _days(table: str) -> pd.DataFrame:
    """Give day and rows, from the log of the table alone: no file of it is read."""
    try:
        files = pa.table(DeltaTable(table).get_add_actions(flatten=True)).to_pandas()
    except TableNotFoundError:
        raise Problem("no day has been published yet: type `make batch`") from None
    files["day"] = files["partition.date"].astype(str)
    found: pd.Series = files.groupby("day")["num_records"].sum()
    return found.rename("rows").reset_index()


@st.cache_data(ttl=SECONDS, show_spinner="Reading the day's predictions")
def _summary(table: str, day: str) -> tuple[int, list[str], dict[str, pd.DataFrame]]:
    """Give the number of rows, the models' versions, and the counts of each prediction."""
    published = DeltaTable(table)
    there = {field.name for field in published.schema().fields}  # of older versions, too
    _, wanted = delta.names([], contract.schema().Predictions.to_schema().columns)
    names = {name: new for name, new in wanted.items() if new in there}
    columns = [*names.values(), "model_version"]
    found = published.to_pandas(partitions=[("date", "=", day)], columns=columns)
    versions = sorted(found["model_version"].unique(), key=int)
    return len(found), versions, {name: counts(found[new]) for name, new in names.items()}


def counts(values: pd.Series) -> pd.DataFrame:
    """Give the rows in each of the bins of a number, or of each of the most frequent values."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        rows, edges = np.histogram(tables.finite(values).dropna().astype(float), bins=BINS)
        return pd.DataFrame({"from": edges[:-1], "to": edges[1:], "rows": rows})
    found = tables.texts(values).value_counts().head(VALUES)
    return found.rename("rows").rename_axis("value").reset_index()
