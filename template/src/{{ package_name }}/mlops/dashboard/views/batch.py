"""Published predictions: their number per day, and their distribution on one day."""

import numpy as np
import pandas as pd
import pyarrow as pa
import streamlit as st
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from ... import contract, tables
from ...data import delta
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
    drawn = {name: charts.distribution(part) for name, part in predictions.items()}
    drawn |= {"predictions per day": charts.days(days)}
    areas = st.columns(2)
    for number, (name, chart) in enumerate(drawn.items()):
        with areas[number % 2]:
            st.subheader(words(name.capitalize()))
            st.altair_chart(chart)


@st.cache_data(ttl=SECONDS, show_spinner="Reading the table's log")
def _days(table: str) -> pd.DataFrame:
    """Return day and rows, from the table's log alone, without reading data files."""
    try:
        files = pa.table(DeltaTable(table).get_add_actions(flatten=True)).to_pandas()
    except TableNotFoundError:
        raise Problem("no day has been published yet: type `make batch`") from None
    files["day"] = files["partition.date"].astype(str)
    rows: pd.Series = files.groupby("day")["num_records"].sum()
    return rows.rename("rows").reset_index()


@st.cache_data(ttl=SECONDS, show_spinner="Reading the day's predictions")
def _summary(table: str, day: str) -> tuple[int, list[str], dict[str, pd.DataFrame]]:
    """Return the number of rows, the model versions, and the counts of each prediction."""
    published = DeltaTable(table)
    existing = {field.name for field in published.schema().fields}
    _, predictions = delta.names([], contract.schema().Predictions.to_schema().columns)
    names = {name: new for name, new in predictions.items() if new in existing}
    columns = [*names.values(), "model_version"]
    rows = published.to_pandas(partitions=[("date", "=", day)], columns=columns)
    versions = sorted(rows["model_version"].unique(), key=int)
    return len(rows), versions, {name: counts(rows[new]) for name, new in names.items()}


def counts(values: pd.Series) -> pd.DataFrame:
    """Return the number of rows per bin of a number, or per most frequent value."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        rows, edges = np.histogram(tables.finite(values).dropna().astype(float), bins=BINS)
        return pd.DataFrame({"from": edges[:-1], "to": edges[1:], "rows": rows})
    frequent = tables.texts(values).value_counts().head(VALUES)
    return frequent.rename("rows").rename_axis("value").reset_index()
