"""Requests are the events without their label; the feature table is used as it is."""

from collections.abc import Mapping

import pandas as pd
from pydantic import BaseModel, ConfigDict

LABEL = "sold"


class Params(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


def build(raw: Mapping[str, pd.DataFrame], params: Params) -> dict[str, pd.DataFrame]:
    """Return Feast's only source."""
    return {"known": raw["known"]}


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per event, without the label."""
    return raw["events"].drop(columns=LABEL)


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per event, with the label."""
    return raw["events"]
