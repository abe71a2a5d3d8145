"""The stage `materialize`: fill the online store, and refuse a file that nobody else can read."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

STORE = Path("feature_repo/feature_store.yaml")


@pytest.fixture
def materialize(
    mlops: Any, workspace: Path, raw: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Return the stage's `run`, which loads the sample."""
    monkeypatch.setattr(mlops("data.ingest"), "load", lambda: raw)
    monkeypatch.delenv("MLOPS_RUN_ID", raising=False)
    return mlops("serving.materialize").run


def test_the_store_has_the_latest_row_of_each_entity(
    mlops: Any, materialize: Any, raw: dict[str, pd.DataFrame]
) -> None:
    materialize()
    online = mlops("serving.online_features").Online()
    features = mlops("contract").features()
    tables = features.build(raw, mlops("data.features").section())
    requests = mlops("data.features").examples(raw, mlops("data.features").section())
    requests = requests[[*online.keys]].drop_duplicates()
    compared = 0
    for table in tables.values():
        keys = [key for key in online.keys if key in table]
        now = table["event_timestamp"].max() + timedelta(seconds=1)
        stored = online.read(requests.to_dict("records"), now.to_pydatetime())
        latest = table[table["event_timestamp"] == now - timedelta(seconds=1)]
        expected = requests.merge(latest, on=keys, how="left") if keys else requests
        for name in {*stored} & {*table}:
            present = expected[name].notna().to_numpy()
            values = pd.Series(stored[name], dtype=object)[present].astype(expected[name].dtype)
            assert values.tolist() == expected[name][present].tolist(), name
            compared += int(present.sum())
    assert compared


def test_an_engine_does_not_fill_a_file_that_only_it_can_read(
    mlops: Any, materialize: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RUN_ID", "r1")
    with pytest.raises(mlops("errors").Problem, match=r"\.feast/online\.db.* such as redis"):
        materialize()
    text = STORE.read_text()
    try:
        STORE.write_text(text.replace("../.feast/online.db", str(tmp_path / "online.db")))
        materialize()
    finally:
        STORE.write_text(text)
    assert (tmp_path / "online.db").exists()


def test_a_store_with_other_features_than_the_join_is_reported(
    mlops: Any, materialize: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = mlops("serving.online_features").Online
    read = online.read

    def lie(self: Any, rows: Any, now: Any) -> Any:
        name, *others = read(self, rows, now).items()
        return {name[0]: [1e9] * len(rows), **dict(others)}

    monkeypatch.setattr(online, "read", lie)
    with pytest.raises(
        mlops("errors").Problem, match=r"1000000000\.0 in the online store"
    ) as raised:
        materialize()
    assert len(str(raised.value).splitlines()) == 1
