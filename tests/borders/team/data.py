"""The raw tables are those of the case."""

import pandas as pd
from pydantic import BaseModel, ConfigDict

from . import case


class Params(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid")


def load(params: Params) -> dict[str, pd.DataFrame]:
    """Return the events and what was known of each shop."""
    return {"events": case.CURRENT.events.copy(), "known": case.CURRENT.known.copy()}
