"""Features use nothing from after the scheduled departure."""

import pandas as pd
import pytest

from classification import features

PARAMS = features.Params(window_hours=3, late_minutes=15)
NOW = pd.Timestamp("2013-01-20 15:00", tz="UTC")


def _until_now(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {
        name: table[table["event_timestamp"] <= NOW].reset_index(drop=True)
        for name, table in tables.items()
    }


def test_what_happens_later_changes_no_feature(raw: dict[str, pd.DataFrame]) -> None:
    """Flights that have not left by NOW leave a day later, whenever they were scheduled."""
    flights = raw["flights"].copy()
    left = flights["event_timestamp"] + pd.to_timedelta(flights["dep_delay"], unit="min")
    later = ~(left <= NOW)
    assert later[flights["event_timestamp"] <= NOW].any()
    flights.loc[later, ["dep_delay", "arr_delay"]] += 24 * 60
    weather = raw["weather"].copy()
    weather.loc[weather["event_timestamp"] >= NOW, ["temp", "wind_speed"]] += 50
    before = _until_now(features.build(raw, PARAMS))
    after = _until_now(features.build({"flights": flights, "weather": weather}, PARAMS))
    for name, table in before.items():
        pd.testing.assert_frame_equal(after[name], table)


def test_what_happened_before_does(raw: dict[str, pd.DataFrame]) -> None:
    flights = raw["flights"].copy()
    flights.loc[flights["event_timestamp"] < NOW, "dep_delay"] += 30
    before = _until_now(features.build(raw, PARAMS))["origin_delays"]
    after = _until_now(features.build({**raw, "flights": flights}, PARAMS))["origin_delays"]
    assert not after["origin_delay"].equals(before["origin_delay"])


def test_the_window_is_counted_by_hand(raw: dict[str, pd.DataFrame]) -> None:
    flights = raw["flights"].dropna(subset="dep_delay")
    left = flights["event_timestamp"] + pd.to_timedelta(flights["dep_delay"], unit="min")
    mine = flights[(flights["origin"] == "JFK") & (left > NOW - 3 * features.HOUR) & (left <= NOW)]
    table = features.build(raw, PARAMS)["origin_delays"]
    row = table[(table["origin"] == "JFK") & (table["event_timestamp"] == NOW)].iloc[0]
    assert row["origin_departures"] == len(mine)
    assert row["origin_delay"] == pytest.approx(mine["dep_delay"].mean())


def test_a_flight_is_late_after_fifteen_minutes(raw: dict[str, pd.DataFrame]) -> None:
    examples = features.examples(raw, PARAMS)
    delays = raw["flights"].loc[examples.index, "arr_delay"]
    assert examples["late"].equals(delays > 15)
    assert not examples["late"].isna().any()
    assert len(examples) == raw["flights"]["arr_delay"].notna().sum()
