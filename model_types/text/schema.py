"""Schemas at each boundary: the raw log, the model's inputs, examples and predictions."""

from typing import Annotated, Any

import pandas as pd
import pandera.pandas as pa
from pandera.typing.pandas import Series

UTC = Annotated[pd.DatetimeTZDtype, "ns", "UTC"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
KINDS = ["benign", "near_miss", "sqli", "xss", "traversal", "command", "jndi", "template"]
EVASIONS = ["none", "encoding", "case", "comments"]


class Requests(pa.DataFrameModel):
    """A request as it came over the wire, its answer, and the analyst's label."""

    event_timestamp: Series[UTC] = pa.Field(description="arrival of the request")
    client: Series[str] = pa.Field(str_length={"min_value": 1, "max_value": 45})
    method: Series[str] = pa.Field(isin=METHODS)
    path: Series[str] = pa.Field(str_length={"min_value": 1})
    query: Series[str]
    body: Series[str]
    user_agent: Series[str]
    kind: Series[str] = pa.Field(isin=KINDS, description="near_miss: benign but looks hostile")
    evasion: Series[str] = pa.Field(isin=EVASIONS, description="how the attack hides")
    status: Series[int] = pa.Field(ge=100, le=599)
    milliseconds: Series[int] = pa.Field(ge=0, description="until the answer")


class Features(pa.DataFrameModel):
    """The model's inputs, from the request and from Feast (missing if nothing was known)."""

    method: Series[str]
    path: Series[str]
    query: Series[str]
    body: Series[str]
    user_agent: Series[str]
    client_requests: Series[float] = pa.Field(ge=1, nullable=True)
    client_errors: Series[float] = pa.Field(ge=0, nullable=True)

    class Config:
        """Coerce types: a join turns integers into floats where a row is missing."""

        coerce = True


class Examples(Features):
    """The inputs, the client and time of the request, and the labels."""

    event_timestamp: Series[UTC]
    client: Series[str]
    kind: Series[str] = pa.Field(isin=KINDS)
    evasion: Series[str] = pa.Field(isin=EVASIONS)
    attack: Series[bool]


class Predictions(pa.DataFrameModel):
    """Probability that the request is an attack."""

    probability: Series[float] = pa.Field(ge=0, le=1)


RAW: dict[str, type[pa.DataFrameModel]] = {"requests": Requests}

# An example request: what the caller sends. Feast supplies the rest, by `client`.
EXAMPLE: dict[str, Any] = {
    "client": "203.0.113.7",
    "method": "GET",
    "path": "/search",
    "query": "q=%27+union+select+name%2Cpassword+from+users+--",
    "body": "",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}
