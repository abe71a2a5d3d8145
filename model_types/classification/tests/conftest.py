"""A small sample of the raw tables, also used by the platform's tests."""

from datetime import date

import pandas as pd
import pytest

from classification import data


@pytest.fixture(scope="session")
def raw() -> dict[str, pd.DataFrame]:
    """Six weeks of winter."""
    return data.load(data.Params(since=date(2013, 1, 1), until=date(2013, 2, 14)))
