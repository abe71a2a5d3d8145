"""The online store is brought up to date, and never into a file that nobody can read."""

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
    """Run the verb on the sample."""
    monkeypatch.setattr(mlops("ingest"), "load", lambda: raw)
    monkeypatch.delenv("MLOPS_RUN_ID", raising=False)
    return mlops("materialize").run


def test_what_is_known_of_each_entity_is_the_latest(
    mlops: Any, materialize: Any, raw: dict[str, pd.DataFrame]
) -> None:
    materialize()
    online = mlops("serving.online").Online()
    features = mlops("contract").features()
    tables = features.build(raw, mlops("features").section())
    asked = mlops("features").examples(raw, mlops("features").section())
    asked = asked[[*online.keys]].drop_duplicates()
    compared = 0
    for table in tables.values():
        keys = [key for key in online.keys if key in table]
        now = table["event_timestamp"].max() + timedelta(seconds=1)
        found = online.read(asked.to_dict("records"), now.to_pydatetime())
        latest = table[table["event_timestamp"] == now - timedelta(seconds=1)]
        wanted = asked.merge(latest, on=keys, how="left") if keys else asked
        for name in {*found} & {*table}:
            known = wanted[name].notna().to_numpy()
            values = pd.Series(found[name], dtype=object)[known].astype(wanted[name].dtype)
            assert values.tolist() == wanted[name][known].tolist(), name
            compared += int(known.sum())
    assert compared


def test_an_engine_fills_no_file_of_its_own(
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


def test_a_store_that_gives_other_features_than_the_join_is_named(
    mlops: Any, materialize: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = mlops("serving.online").Online
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
