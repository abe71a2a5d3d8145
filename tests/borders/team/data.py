"""Raw tables of the case."""

import pandas as pd
from pydantic import BaseModel, ConfigDict

from . import case


class Params(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


def load(params: Params) -> dict[str, pd.DataFrame]:
    """Return the events and the history of each shop's features."""
    return {"events": case.CURRENT.events.copy(), "known": case.CURRENT.known.copy()}
