"""A small sample of the raw tables, also used by the platform's tests."""

from datetime import date

import pandas as pd
import pytest

from text import data


@pytest.fixture(scope="session")
def raw() -> dict[str, pd.DataFrame]:
    """The requests of ten days of a small shop."""
    days = date(2026, 1, 5), date(2026, 1, 14)
    return data.load(data.Params(since=days[0], until=days[1], requests_per_day=300, seed=7))
