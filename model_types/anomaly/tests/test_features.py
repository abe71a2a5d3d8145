"""Features use nothing from after the hour, and equal the values counted by hand."""

import pandas as pd
import pytest

from anomaly import features

PARAMS = features.Params(window_hours=2)
NOW = pd.Timestamp("2013-06-13 20:00", tz="UTC")


def _until_now(raw: dict[str, pd.DataFrame]) -> pd.DataFrame:
    table = features.build(raw, PARAMS)["operations"]
    return table[table["event_timestamp"] <= NOW].reset_index(drop=True)


def _row(raw: dict[str, pd.DataFrame]) -> pd.Series:
    table = _until_now(raw)
    return table[(table["origin"] == "JFK") & (table["event_timestamp"] == NOW)].iloc[0]


def _left(flights: pd.DataFrame) -> pd.Series:
    delays = pd.to_timedelta(flights["dep_delay"].dropna(), unit="min")
    return flights["event_timestamp"] + delays.reindex(flights.index)


def test_what_happens_later_changes_no_feature(raw: dict[str, pd.DataFrame]) -> None:
    """Flights that have not left by NOW leave a day later; flights due after NOW are cancelled."""
    flights = raw["flights"].copy()
    due, left = flights["event_timestamp"], _left(flights)
    waiting = (due < NOW) & (left >= NOW)
    assert waiting.any()
    flights.loc[waiting, "dep_delay"] += 24 * 60
    flights.loc[(due >= NOW) & (left >= NOW), "dep_delay"] = float("nan")
    pd.testing.assert_frame_equal(_until_now({**raw, "flights": flights}), _until_now(raw))


def test_what_happened_before_does(raw: dict[str, pd.DataFrame]) -> None:
    flights = raw["flights"].copy()
    flights.loc[flights["event_timestamp"] < NOW, "dep_delay"] += 30
    later = _until_now({**raw, "flights": flights})
    assert not later["departure_delay"].equals(_until_now(raw)["departure_delay"])


def test_the_measures_are_counted_by_hand(raw: dict[str, pd.DataFrame]) -> None:
    flights = raw["flights"][raw["flights"]["origin"] == "JFK"]
    start, due, left = NOW - 2 * features.HOUR, flights["event_timestamp"], _left(flights)
    timetable = flights[(due >= start) & (due < NOW)]
    gone = flights[(left >= start) & (left < NOW)]
    row = _row(raw)
    assert row["cancelled_share"] == pytest.approx(timetable["dep_delay"].isna().mean())
    assert row["departure_delay"] == pytest.approx(gone["dep_delay"].mean())
    assert row["waiting"] == ((due < NOW) & (left >= NOW)).sum()
    assert row["cancelled_share"] > 0


def test_an_example_is_an_hour_of_the_timetable(raw: dict[str, pd.DataFrame]) -> None:
    examples = features.examples(raw, PARAMS)
    assert examples["scheduled"].sum() == len(raw["flights"])
    assert not examples.duplicated(["event_timestamp", "origin"]).any()
    row = examples[(examples["origin"] == "JFK") & (examples["event_timestamp"] == NOW)].iloc[0]
    assert (row["hour"], row["weekday"], row["storm"]) == (15, 3, True)


def test_an_hour_is_asked_for_without_a_list_of_storms(raw: dict[str, pd.DataFrame]) -> None:
    rows = features.requests({"flights": raw["flights"]}, PARAMS)
    pd.testing.assert_frame_equal(rows, features.examples(raw, PARAMS).drop(columns="storm"))


def test_a_storms_day_is_one_of_new_york(raw: dict[str, pd.DataFrame]) -> None:
    examples = features.examples(raw, PARAMS)
    days = features.local_hour(examples).dt.date.astype(str)
    assert set(days[examples["storm"]]) == set(days) & set(raw["storms"]["day"])
    assert examples["storm"].nunique() == 2
