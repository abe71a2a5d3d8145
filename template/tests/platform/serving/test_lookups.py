"""Online look-ups return the same features as the join, for all kinds of feature services."""

import textwrap
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NUMBER = count()
BASE = """
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

def source(name):
    path = f"../data/features/{name}.parquet"
    return FileSource(name=name, path=path, timestamp_field="event_timestamp")

airport = Entity(name="airport", value_type=ValueType.STRING)
hour = Entity(name="hour", value_type=ValueType.INT64)
weather = FeatureView(
    name="weather", entities=[airport], ttl=timedelta(hours=2), source=source("weather"),
    schema=[Field(name="temp", dtype=Float64), Field(name="wind", dtype=Float64)],
)
traffic = FeatureView(
    name="traffic", entities=[airport, hour], ttl=timedelta(days=2), source=source("traffic"),
    schema=[Field(name="departures", dtype=Int64)],
)
"""
ON_DEMAND = """
@on_demand_feature_view(
    sources=[weather, RequestSource(name="asked", schema=[Field(name="distance", dtype=Int64)])],
    schema=[Field(name="chill", dtype=Float64)], mode="{mode}",
)
def chill(inputs{types}):
    {body}
"""
PANDAS = ON_DEMAND.format(
    mode="pandas",
    types=": pd.DataFrame",
    body='return pd.DataFrame({"chill": inputs["temp"] - inputs["wind"] / inputs["distance"]})',
)
PYTHON = ON_DEMAND.format(
    mode="python",
    types="",
    body='return {"chill": [t if t is None else t - d for t, d in'
    ' zip(inputs["temp"], inputs["distance"])]}',
)
SERVICES = {
    "another key": """
        features=[weather[["wind"]].with_name("there").with_join_key_map({"airport": "dest"})]
    """,
    "one view twice": """
        features=[weather, weather.with_name("there").with_join_key_map({"airport": "dest"})]
    """,
    "parts of one view by two keys": """
        features=[
            weather[["temp"]],
            weather[["wind"]].with_name("there").with_join_key_map({"airport": "dest"}),
        ]
    """,
    "one of two keys is another": """
        features=[traffic.with_name("there").with_join_key_map({"airport": "dest"})]
    """,
    "both keys, and the first is the other's": """
        features=[weather, traffic.with_name("there").with_join_key_map({"airport": "dest"})]
    """,
    "on demand, pandas": PANDAS + "features=[chill]",
    "on demand, python": PYTHON + "features=[chill, traffic]",
    "on demand, with its source": PANDAS + "features=[weather, chill, traffic]",
    "no entity": """
        country = FeatureView(
            name="country", entities=[], source=source("country"), ttl=timedelta(hours=3),
            schema=[Field(name="holiday", dtype=Int64)],
        )
        features=[country]
    """,
    "no entity, beside others": """
        country = FeatureView(
            name="country", source=source("country"), schema=[Field(name="holiday", dtype=Int64)],
        )
        features=[country, weather, traffic]
    """,
    "no type": """
        seat = Entity(name="seat", join_keys=["hour"])
        seats = FeatureView(
            name="seats", entities=[seat], source=source("seats"),
            schema=[Field(name="hour", dtype=Int64), Field(name="taken", dtype=Int64)],
        )
        features=[seats, traffic[["departures"]]]
    """,
    "no type at all": """
        place = Entity(name="place", join_keys=["airport"])
        there = FeatureView(
            name="weather2", entities=[place], ttl=timedelta(hours=2), source=source("weather"),
            schema=[Field(name="wind", dtype=Float64)],
        )
        features=[there]
    """,
    "a key of any name": """
        known = Entity(name="known", value_type=ValueType.STRING)
        tables = FileSource(
            name="weather", path="../data/features/weather.parquet",
            timestamp_field="event_timestamp", field_mapping={"airport": "known"},
        )
        there = FeatureView(
            name="there", entities=[known], ttl=timedelta(hours=2), source=tables,
            schema=[Field(name="wind", dtype=Float64)],
        )
        features=[there.with_join_key_map({"known": "airport"})]
    """,
    "two rows of a time, and which came later": """
        weather.batch_source.created_timestamp_column = "created"
        features=[weather]
    """,
    "none": "features=[]",
}


def tables() -> dict[str, pd.DataFrame]:
    """Return tables of some airports and hours; the last rows are late or missing."""
    random = np.random.default_rng(0)

    def table(**keys: list[Any]) -> pd.DataFrame:
        times = pd.date_range(NOW - timedelta(days=4), NOW, freq="30min", unit="ns").to_list()
        rows = pd.MultiIndex.from_product(
            [times, *keys.values()], names=["event_timestamp", *keys]
        ).to_frame(index=False)
        return rows[random.random(len(rows)) < 0.3].reset_index(drop=True)

    weather, traffic = (
        table(airport=["AAA", "BBB", "CCC"]),
        table(airport=["AAA", "BBB"], hour=[1, 2]),
    )
    late = (weather["airport"] == "CCC") & (weather["event_timestamp"] > NOW - timedelta(hours=5))
    weather, country, seats = (
        weather[~late],
        table(all=[0])[["event_timestamp"]],
        table(hour=[1, 3]),
    )
    weather = weather.assign(
        temp=random.normal(50, 9, len(weather)), wind=random.normal(9, 1, len(weather))
    )
    return {
        "weather": weather.assign(created=weather["event_timestamp"]),
        "traffic": traffic.assign(departures=random.integers(0, 99, len(traffic))),
        "country": country.assign(holiday=random.integers(0, 9, len(country))),
        "seats": seats.assign(taken=random.integers(0, 99, len(seats))),
    }


TABLES = tables()


@pytest.fixture
def repo(
    workspace: Path, mlops: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Any]]:
    """Return a function that defines a feature service, and fills its online store until NOW."""
    definitions = Path("feature_repo/definitions.py")
    own = definitions.read_text()
    # Of the team's schema, these tests only need an example of a request.
    example = {"airport": "AAA", "dest": "BBB", "hour": 1, "distance": 100}
    monkeypatch.setattr(mlops("contract"), "example", lambda: example)

    def make(service: str, tables: dict[str, pd.DataFrame] = TABLES, online: bool = True) -> Any:
        definitions.unlink(missing_ok=True)
        text = f"{BASE}\n{textwrap.dedent(service).strip()}\n"
        text += 'model = FeatureService(name="model", features=features)\n'
        # Python imports a module of one name only once.
        made.append(Path(f"feature_repo/definitions_{next(NUMBER)}.py"))
        made[-1].write_text(text)
        for name, table in tables.items():
            mlops("tables").write(table, mlops("files").FEATURES / f"{name}.parquet")
        Path(".feast/online.db").unlink(missing_ok=True)
        if online:
            with mlops("data.feature_store").opened() as store:
                mlops("data.feature_store").fill(store, NOW)
        for name in tables:
            (mlops("files").FEATURES / f"{name}.parquet").rename(aside / f"{name}.parquet")
        # It has no access to the tables.
        return mlops("serving.online_features").Online() if online else None

    made: list[Path] = []
    aside = Path("aside")
    aside.mkdir(exist_ok=True)
    yield make
    for file in made:
        file.unlink()
    definitions.write_text(own)


def requests() -> pd.DataFrame:
    """Return requests for pairs of airports, some without a key or with an unknown one."""
    rows = pd.MultiIndex.from_product(
        [["AAA", "BBB", "CCC", "DDD"], ["CCC", "BBB", None, "AAA"], [1, 2]],
        names=["airport", "dest", "hour"],
    ).to_frame(index=False)
    return rows.assign(event_timestamp=pd.Timestamp(NOW), distance=range(100, 100 + len(rows)))


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_look_up_equals_the_join(mlops: Any, repo: Callable[..., Any], service: str) -> None:
    """At the same time, when some rows are stale, and when all are."""
    corrected = TABLES["weather"].assign(created=pd.Timestamp(NOW), temp=1.0)
    weather = pd.concat([corrected, TABLES["weather"]], ignore_index=True)
    online = repo(service, TABLES | ({"weather": weather} if "created" in service else {}))
    now = requests()
    times = [NOW + timedelta(hours=hours) for hours in (0, 1, 5, 24 * 9)]
    rows = pd.concat([now.assign(event_timestamp=pd.Timestamp(time)) for time in times])
    with mlops("data.feature_store").opened(Path("aside").resolve()) as store:
        expected = mlops("data.feature_store").join(store, rows.reset_index(drop=True))
    # Missing keys are null, and keys have no order, as in JSON.
    sent = [
        {name: None if pd.isna(row[name]) else row[name] for name in reversed([*row])}
        for row in now.drop(columns="event_timestamp").to_dict("records")
    ]
    kinds = {"airport": str, "dest": str, "hour": int, "distance": int}
    assert online.keys == {name: kinds[name] for name in online.keys}
    for time in times:
        features = online.read(sent, time)
        joined = expected[expected["event_timestamp"] == time]
        assert {*features} == {*expected} - {*rows}
        for name, values in features.items():
            assert values == [None if pd.isna(value) else value for value in joined[name]], name


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_the_join_equals_feasts_own(
    mlops: Any, repo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    """At many times: those of a table's rows, exactly one ttl later, and one missing."""
    corrected = TABLES["weather"].assign(created=pd.Timestamp(NOW), temp=1.0)
    weather = pd.concat([corrected, TABLES["weather"]], ignore_index=True)
    tables = TABLES | ({"weather": weather} if "created" in service else {})
    repo(service, tables, online=False)
    rows = pd.concat([requests()] * 20, ignore_index=True)
    steps = np.random.default_rng(1).integers(-4 * 96, 24, len(rows))
    rows["event_timestamp"] += pd.to_timedelta(steps * 15, unit="min")
    rows.loc[7, "event_timestamp"] = pd.NaT
    with mlops("data.feature_store").opened(Path("aside").resolve()) as store:
        joined = mlops("data.feature_store").join(store, rows)
        monkeypatch.setattr(mlops("data.as_of"), "in_use", nullcontext)
        pd.testing.assert_frame_equal(joined, mlops("data.feature_store").join(store, rows))


def _again(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.head(1)], ignore_index=True)


WRONG = {
    "two rows of a key and time": (
        lambda t: _again(t).assign(temp=range(len(t) + 1)),
        "weather.*airport=",
    ),
    "a key as a number": (lambda t: t.assign(airport=range(len(t))), "weather: airport .*int64"),
    "no key": (
        lambda t: t.assign(airport=t["airport"].where(t.index > 2)),
        "weather: airport .* 3 ",
    ),
    "no column": (lambda t: t.drop(columns="airport"), "weather.*airport"),
    "no feature": (lambda t: t.drop(columns="wind"), "weather.*wind"),
}


@pytest.mark.parametrize(("change", "line"), WRONG.values(), ids=WRONG)
def test_a_table_that_cannot_be_joined_is_reported(
    mlops: Any, repo: Callable[..., Any], change: Any, line: str
) -> None:
    with pytest.raises(mlops("errors").Problem, match=line) as raised:
        repo("features=[weather]", TABLES | {"weather": change(TABLES["weather"])})
    assert len(str(raised.value).splitlines()) == 1


def test_a_view_taken_twice_under_one_name_is_reported(
    mlops: Any, repo: Callable[..., Any]
) -> None:
    with pytest.raises(mlops("errors").Problem, match=r"takes weather twice.*with_name"):
        repo("""
            features=[
                weather[["temp"]],
                weather[["wind"]].with_join_key_map({"airport": "dest"}),
            ]
        """)


def test_an_entity_that_feast_would_not_see_is_reported(
    mlops: Any, repo: Callable[..., Any]
) -> None:
    """An entity created inside a view is not registered, and Feast joins without a key."""
    inline = """
        there = FeatureView(
            name="there", entities=[Entity(name="place", join_keys=["airport"])],
            source=source("weather"), schema=[Field(name="wind", dtype=Float64)],
        )
        features=[there]
    """
    with pytest.raises(mlops("errors").Problem, match=r"there .*place"):
        repo(inline)


def test_a_missing_integer_is_reported(mlops: Any, repo: Callable[..., Any]) -> None:
    traffic = TABLES["traffic"]
    broken = traffic.assign(hour=traffic["hour"].where(traffic.index > 0))
    with pytest.raises(mlops("errors").Problem, match=r"traffic: hour .*astype\('int64'\)"):
        repo("features=[traffic]", TABLES | {"traffic": broken})


def test_a_duplicate_row_is_accepted(mlops: Any, repo: Callable[..., Any]) -> None:
    repo("features=[weather]", TABLES | {"weather": _again(TABLES["weather"])})


@pytest.mark.parametrize(
    "change", [lambda t: t.assign(hour=t["hour"].astype(str)), lambda t: t.drop(columns="hour")]
)
def test_rows_that_cannot_be_joined_are_reported(
    mlops: Any, repo: Callable[..., Any], change: Any
) -> None:
    repo("features=[traffic]")
    aside = Path("aside").resolve()
    with (
        mlops("data.feature_store").opened(aside) as store,
        pytest.raises(mlops("errors").Problem, match=r"examples.*hour"),
    ):
        mlops("data.feature_store").join(store, change(requests()))
