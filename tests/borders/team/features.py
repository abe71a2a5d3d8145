"""Requests are the events; what was known of a shop is a table as it is."""

from collections.abc import Mapping

import pandas as pd
from pydantic import BaseModel, ConfigDict

LABEL = "sold"


class Params(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid")


def build(raw: Mapping[str, pd.DataFrame], params: Params) -> dict[str, pd.DataFrame]:
    """Return the one source of Feast."""
    return {"known": raw["known"]}


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per event, without what then happened."""
    return raw["events"].drop(columns=LABEL)


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per event."""
    return raw["events"]
