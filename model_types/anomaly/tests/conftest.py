"""A small sample of the raw tables; the platform's tests use it too."""

from datetime import date

import pandas as pd
import pytest

from anomaly import data


@pytest.fixture(scope="session")
def raw() -> dict[str, pd.DataFrame]:
    """Give six weeks of summer, with thunderstorms from the first to the last."""
    return data.load(data.Params(since=date(2013, 6, 1), until=date(2013, 7, 14)))
