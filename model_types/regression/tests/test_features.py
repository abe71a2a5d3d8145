"""Features use nothing from after the scheduled departure."""

import numpy as np
import pandas as pd
import pytest

from regression import features

PARAMS = features.Params(window_hours=3)
NOW = pd.Timestamp("2013-01-20 15:00", tz="UTC")


def _until_now(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {
        name: table[table["event_timestamp"] <= NOW].reset_index(drop=True)
        for name, table in tables.items()
    }


def _left(flights: pd.DataFrame) -> pd.Series:
    return flights["event_timestamp"] + pd.to_timedelta(flights["dep_delay"], unit="min")


@pytest.mark.parametrize("fate", [24 * 60, np.nan], ids=["a day later", "cancelled"])
def test_what_happens_later_changes_no_feature(raw: dict[str, pd.DataFrame], fate: float) -> None:
    """Change the fate of all flights that have not left by NOW, whenever they were scheduled."""
    flights = raw["flights"].copy()
    later = ~(_left(flights) <= NOW)
    assert later[flights["event_timestamp"] <= NOW].any()
    flights.loc[later, ["dep_delay", "arr_delay"]] += fate
    # Delays at arrival change too: flights that left before NOW may still be in the air.
    flights["arr_delay"] += 60
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
    for name in ("origin_delay", "origin_waiting"):
        assert not after[name].equals(before[name])


def test_the_window_is_counted_by_hand(raw: dict[str, pd.DataFrame]) -> None:
    flights = raw["flights"][raw["flights"]["origin"] == "JFK"]
    left, begin = _left(flights), NOW - 3 * features.HOUR
    table = features.build(raw, PARAMS)["origin_delays"]
    row = table[(table["origin"] == "JFK") & (table["event_timestamp"] == NOW)].iloc[0]
    mine = flights[(left > begin) & (left <= NOW)]
    assert row["origin_delay"] == pytest.approx(mine["dep_delay"].mean())
    scheduled = flights["event_timestamp"].between(begin, NOW, inclusive="left")
    assert row["origin_waiting"] == (scheduled & ~(left <= NOW)).sum() > 0


def test_an_example_is_a_flight_that_arrived(raw: dict[str, pd.DataFrame]) -> None:
    examples = features.examples(raw, PARAMS)
    assert len(examples) == raw["flights"]["arr_delay"].notna().sum() < len(raw["flights"])
    assert examples["arr_delay"].equals(raw["flights"].loc[examples.index, "arr_delay"])


def test_a_flight_that_will_be_cancelled_is_asked_for(raw: dict[str, pd.DataFrame]) -> None:
    rows, flights = features.requests(raw, PARAMS), raw["flights"]
    assert flights["dep_delay"].isna().any()
    pd.testing.assert_frame_equal(rows[["origin", "dest"]], flights[["origin", "dest"]])
    unknown = {"flights": flights.assign(dep_delay=np.nan, arr_delay=np.nan)}
    pd.testing.assert_frame_equal(features.requests(unknown, PARAMS), rows)


def test_the_timetable_is_read_in_the_time_of_each_end(raw: dict[str, pd.DataFrame]) -> None:
    """Los Angeles is six hours away although its clocks are three hours behind; Boston is one."""
    minutes = raw["flights"].groupby("dest")["scheduled_minutes"].median()
    assert minutes["LAX"] == pytest.approx(370, abs=20)
    assert minutes["BOS"] == pytest.approx(70, abs=15)
    assert minutes["SJU"] == pytest.approx(230, abs=20)
