"""Point-in-time features: the client's recent activity; the rest comes with the request."""

from collections.abc import Mapping

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

BENIGN = ["benign", "near_miss"]


class Params(BaseModel):
    """The section `features` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    window_minutes: int = Field(ge=1, le=1_440)


def build(raw: Mapping[str, pd.DataFrame], params: Params) -> dict[str, pd.DataFrame]:
    """Return one table per Feast source; a row holds what was known at its `event_timestamp`.

    A request counts from the time of its answer, so no request includes itself.
    """
    requests = raw["requests"]
    answered = requests["event_timestamp"] + pd.to_timedelta(requests["milliseconds"], unit="ms")
    window = (
        pd.DataFrame({"client": requests["client"], "error": requests["status"] >= 400})
        .assign(event_timestamp=answered)
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
    # Of two answers at the same time, the second row counts both.
    return {
        "client_activity": window.drop_duplicates(
            ["client", "event_timestamp"], keep="last", ignore_index=True
        )
    }


def requests(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return one row per request, as it arrived and before it was answered."""
    columns = ["event_timestamp", "client", "method", "path", "query", "body", "user_agent"]
    return raw["requests"][columns]


def examples(raw: Mapping[str, pd.DataFrame], params: Params) -> pd.DataFrame:
    """Return the requests with the analyst's labels."""
    labels = raw["requests"][["kind", "evasion"]]
    rows = pd.concat([requests(raw, params), labels], axis=1)
    return rows.assign(attack=~rows["kind"].isin(BENIGN))
