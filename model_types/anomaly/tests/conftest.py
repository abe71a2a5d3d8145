"""A small sample of the raw tables, also used by the platform's tests."""

from datetime import date

import pandas as pd
import pytest

from anomaly import data


@pytest.fixture(scope="session")
def raw() -> dict[str, pd.DataFrame]:
    """Six weeks of summer, with thunderstorms throughout."""
    return data.load(data.Params(since=date(2013, 6, 1), until=date(2013, 7, 14)))
