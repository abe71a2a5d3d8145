"""Features use nothing from after the forecast origin."""

import pandas as pd
import pytest
from pydantic import ValidationError

from forecast import features

PARAMS = features.Params(window_hours=6, every_hours=5)
NOW = pd.Timestamp("2013-01-20 15:00", tz="UTC")
HOUR, WEEK = pd.Timedelta(hours=1), pd.Timedelta(days=7)
TARGET = "departures"


def _until_now(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {
        name: table[table["event_timestamp"] <= NOW].reset_index(drop=True)
        for name, table in tables.items()
    }


@pytest.fixture
def other_future(raw: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Flights that have not left by NOW leave a day later or never, whenever they were due."""
    flights, weather = raw["flights"].copy(), raw["weather"].copy()
    later = ~(_left(flights) < NOW)
    assert later[flights["event_timestamp"] < NOW].any()
    flights.loc[later, "dep_delay"] += 24 * 60
    flights.loc[later & (flights["flight"] % 2 == 0), "dep_delay"] = None
    weather.loc[weather["event_timestamp"] >= NOW, ["temp", "wind_speed"]] += 50
    return {"flights": flights, "weather": weather}


def test_what_happens_later_changes_no_feature(
    raw: dict[str, pd.DataFrame], other_future: dict[str, pd.DataFrame]
) -> None:
    before = _until_now(features.build(raw, PARAMS))
    after = _until_now(features.build(other_future, PARAMS))
    for name, table in before.items():
        pd.testing.assert_frame_equal(after[name], table)


def test_what_happens_later_changes_only_the_target(
    raw: dict[str, pd.DataFrame], other_future: dict[str, pd.DataFrame]
) -> None:
    """Calendar and timetable columns of the examples do not change."""
    before, after = features.examples(raw, PARAMS), features.examples(other_future, PARAMS)
    pd.testing.assert_frame_equal(after.drop(columns=TARGET), before.drop(columns=TARGET))
    over = before["event_timestamp"] + before["horizon"] * HOUR <= NOW
    assert after.loc[over, TARGET].equals(before.loc[over, TARGET])
    assert not after[TARGET].equals(before[TARGET])


def test_what_happened_before_does(raw: dict[str, pd.DataFrame]) -> None:
    flights = raw["flights"].copy()
    flights.loc[flights["event_timestamp"] < NOW, "dep_delay"] += 90
    before = _until_now(features.build(raw, PARAMS))
    after = _until_now(features.build({**raw, "flights": flights}, PARAMS))
    for name in ("airport", "same_hour", "same_hour_of_week"):
        assert not after[name].equals(before[name])


def test_the_airport_is_counted_by_hand(raw: dict[str, pd.DataFrame]) -> None:
    flights = raw["flights"][raw["flights"]["origin"] == "JFK"]
    left, due = _left(flights), flights["event_timestamp"]
    recent = left.between(NOW - 6 * HOUR, NOW, inclusive="left")
    table = features.build(raw, PARAMS)["airport"]
    row = table[(table["origin"] == "JFK") & (table["event_timestamp"] == NOW)].iloc[0]
    assert row["departed_1h"] == left.between(NOW - HOUR, NOW, inclusive="left").sum()
    assert row["departed_24h"] == left.between(NOW - 24 * HOUR, NOW, inclusive="left").sum()
    assert row["mean_delay"] == pytest.approx(flights.loc[recent, "dep_delay"].mean())
    overdue = due.between(NOW - 6 * HOUR, NOW, inclusive="left") & ~(left < NOW)
    assert row["waiting"] == overdue.sum() > 0


@pytest.mark.parametrize(
    ("name", "keys", "season"),
    [
        ("same_hour", ["origin", "hour"], pd.Timedelta(days=1)),
        ("same_hour_of_week", ["origin", "weekday", "hour"], WEEK),
    ],
)
def test_the_last_row_known_is_one_season_before_the_target(
    raw: dict[str, pd.DataFrame], name: str, keys: list[str], season: pd.Timedelta
) -> None:
    rows = features.examples(raw, PARAMS)
    table = features.build(raw, PARAMS)[name].assign(end=lambda t: t["event_timestamp"])
    joined = pd.merge_asof(rows, table, on="event_timestamp", by=keys)
    target = rows["event_timestamp"] + pd.to_timedelta(rows["horizon"], unit="h")
    assert (target - joined["end"] == season).all()


def test_the_target_is_what_left_in_its_hour(raw: dict[str, pd.DataFrame]) -> None:
    rows = features.examples(raw, PARAMS)
    for _, row in rows.sample(20, random_state=0).iterrows():
        flights = raw["flights"][raw["flights"]["origin"] == row["origin"]]
        end = row["event_timestamp"] + row["horizon"] * HOUR
        local = (end - HOUR).tz_convert("America/New_York")
        assert (row["hour"], row["weekday"]) == (local.hour, local.weekday())
        for column, times, until in [
            (TARGET, _left(flights), end),
            ("scheduled", flights["event_timestamp"], end),
            ("scheduled_before", flights["event_timestamp"], end - HOUR),
        ]:
            assert row[column] == times.between(until - HOUR, until, inclusive="left").sum()


def test_each_horizon_meets_each_hour_of_the_day(raw: dict[str, pd.DataFrame]) -> None:
    pairs = features.examples(raw, PARAMS)[["horizon", "hour"]].drop_duplicates()
    assert len(pairs) == 24 * 24
    with pytest.raises(ValidationError, match="no divisor with 24"):
        features.Params(window_hours=6, every_hours=6)


def test_a_forecast_is_asked_for_at_each_hour_as_far_as_the_timetable_goes(
    raw: dict[str, pd.DataFrame],
) -> None:
    rows, last = features.requests(raw, PARAMS), raw["flights"]["event_timestamp"].max()
    day = rows[rows["event_timestamp"].dt.date == NOW.date()]
    assert len(day) == 24 * 3 * 24
    ends = rows["event_timestamp"] + rows["horizon"] * HOUR
    assert ends.max() == last.floor("h") + HOUR
    gone = {**raw, "flights": raw["flights"].assign(dep_delay=None).astype({"dep_delay": float})}
    pd.testing.assert_frame_equal(features.requests(gone, PARAMS), rows)


def test_holidays_are_those_of_the_target(raw: dict[str, pd.DataFrame]) -> None:
    rows = features.examples(raw, PARAMS)
    begins = rows["event_timestamp"] + pd.to_timedelta(rows["horizon"] - 1, unit="h")
    days = begins.dt.tz_convert("America/New_York").dt.date[rows["holiday"]]
    assert days.astype(str).unique().tolist() == ["2013-01-21"]


def _left(flights: pd.DataFrame) -> pd.Series:
    return flights["event_timestamp"] + pd.to_timedelta(flights["dep_delay"], unit="min")
