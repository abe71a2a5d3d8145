"""What was known when: what the client has done lately; the rest is in the request."""

from collections.abc import Mapping

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

BENIGN = ["benign", "near_miss"]


class Params(BaseModel):
    """The section `features` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    window_minutes: int = Field(ge=1, le=1_440)


def build(raw: Mapping[str, pd.DataFrame], params: Params) -> dict[str, pd.DataFrame]:
    """Give a table a Feast source; a row holds what was known at its `event_timestamp`.

    An answer is known when it has been given, which is after its request came: so no request
    sees its own.
    """
    requests = raw["requests"]
    known = requests["event_timestamp"] + pd.to_timedelta(requests["milliseconds"], unit="ms")
    window = (
        pd.DataFrame({"client": requests["client"], "error": requests["status"] >= 400})
        .assign(event_timestamp=known)
        .sort_values("event_timestamp", kind="stable")
        .set_index("event_timestamp")
        .groupby("client")["error"]
        .rolling(f"{params.window_minutes}min")
        .agg(["count", "sum"])
        .round()
        .astype("int64")
        .set_axis(["client_requests", "client_errors"], axis="columns")
        .reset_index()
    )
    # Of two answers at the same instant the second has counted both.
    return {
        "client_activity": window.drop_duplicates(
            ["client", "event_timestamp"], keep="last", ignore_index=True
        )
    }


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Give a row a request, at the time it came: what the client sent, before any answer."""
    columns = ["event_timestamp", "client", "method", "path", "query", "body", "user_agent"]
    return raw["requests"][columns]


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Give the requests, and what an analyst called them."""
    called = raw["requests"][["kind", "evasion"]]
    asked = pd.concat([requests(raw, params), called], axis=1)
    return asked.assign(attack=~asked["kind"].isin(BENIGN))
