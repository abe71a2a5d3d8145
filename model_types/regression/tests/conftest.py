"""A small sample of the raw tables; the platform's tests use it too."""

from datetime import date

import pandas as pd
import pytest

from regression import data


@pytest.fixture(scope="session")
def raw() -> dict[str, pd.DataFrame]:
    """Give six weeks of winter."""
    return data.load(data.Params(since=date(2013, 1, 1), until=date(2013, 2, 14)))
