"""Features use no answer that had not been given yet."""

import pandas as pd
import pytest

from text import data, features

PARAMS = features.Params(window_minutes=60)
NOW = pd.Timestamp("2026-01-10 15:00", tz="UTC")


def _until_now(raw: dict[str, pd.DataFrame]) -> pd.DataFrame:
    table = features.build(raw, PARAMS)["client_activity"]
    return table[table["event_timestamp"] <= NOW].reset_index(drop=True)


def _answered(requests: pd.DataFrame) -> pd.Series:
    waited = pd.to_timedelta(requests["milliseconds"], unit="ms")
    return requests["event_timestamp"] + waited


def test_what_is_answered_later_changes_no_feature(raw: dict[str, pd.DataFrame]) -> None:
    """One of the changed requests came before NOW and is answered later."""
    requests = raw["requests"].copy()
    place = requests.index[requests["event_timestamp"] < NOW][-1]
    requests.loc[place, "milliseconds"] = 3_600_000_000
    before = _until_now({"requests": requests})
    later = _answered(requests) > NOW
    assert later[place]
    requests.loc[later, "status"] = 500
    pd.testing.assert_frame_equal(_until_now({"requests": requests}), before)


def test_what_was_answered_before_does(raw: dict[str, pd.DataFrame]) -> None:
    requests = raw["requests"].copy()
    requests.loc[_answered(requests) < NOW, "status"] = 500
    assert not _until_now({"requests": requests}).equals(_until_now(raw))


def test_no_request_sees_its_own_answer(raw: dict[str, pd.DataFrame]) -> None:
    assert (_answered(raw["requests"]) > raw["requests"]["event_timestamp"]).all()


def test_the_window_is_counted_by_hand(raw: dict[str, pd.DataFrame]) -> None:
    requests = raw["requests"].assign(answered=_answered(raw["requests"]))
    table = features.build(raw, PARAMS)["client_activity"]
    busiest = table.loc[table["client_requests"].idxmax()]
    when, client = busiest["event_timestamp"], busiest["client"]
    start = when - pd.Timedelta(minutes=60)
    mine = requests[(requests["client"] == client) & requests["answered"].between(start, when)]
    assert busiest["client_requests"] == len(mine[mine["answered"] > start]) > 1
    assert busiest["client_errors"] == (mine.loc[mine["answered"] > start, "status"] >= 400).sum()


def test_what_is_asked_knows_neither_answer_nor_analyst(raw: dict[str, pd.DataFrame]) -> None:
    later = ["kind", "evasion", "status", "milliseconds"]
    pd.testing.assert_frame_equal(
        features.requests(raw, PARAMS), raw["requests"].drop(columns=later)
    )


def test_near_misses_are_no_attacks(raw: dict[str, pd.DataFrame]) -> None:
    examples = features.examples(raw, PARAMS)
    assert set(examples.loc[examples["attack"], "kind"]) == set(data.ATTACKS) & {*examples["kind"]}
    assert {"benign", "near_miss"} <= set(examples.loc[~examples["attack"], "kind"])
    assert len(examples) == len(raw["requests"])


def test_the_same_seed_gives_the_same_log_and_another_another() -> None:
    day = NOW.date()
    first, again, other = (
        data.load(data.Params(since=day, until=day, requests_per_day=200, seed=seed))["requests"]
        for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first["path"].equals(other["path"])


@pytest.mark.parametrize(("age", "used"), [(0.0, False), (1.0, True)])
def test_the_last_kind_of_attack_comes_last(age: float, used: bool) -> None:
    shop = data.Shop(seed=1)
    shop.age = age
    assert ("template" in {shop.option("kind") for _ in range(500)}) == used
