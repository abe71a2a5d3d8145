"""Stream inference: the production model over HTTP, on a real socket."""

import asyncio
import contextlib
import copy
import dataclasses
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq
import pytest
import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROWS = 1_000


class Service:
    """The service in a thread, with its predictor for tests to change."""

    def __init__(self, config: uvicorn.Config, predictor: Any) -> None:
        """Start it on a free port."""
        self.app, self.predictor = config.app, predictor
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = listening.getsockname()
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()
        self.client = httpx.Client(base_url="http://{}:{}".format(*self.address), timeout=60)
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it as a signal does, which writes the prediction log."""
        self.client.close()
        self._server.should_exit = True
        self._thread.join()

    def predict(self, rows: list[dict[str, Any]], **headers: str) -> httpx.Response:
        return self.client.post("/v1/predict", json={"rows": rows}, headers=headers)

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        lines = self.client.get("/metrics").text.splitlines()
        samples = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in samples)


@pytest.fixture(scope="module")
def fetched(mlops: Any, registered: Any) -> Path:
    """Return the folder of the first version, as written by `mlops production`."""
    folder = Path("data/serving/model").resolve()
    mlops("registry.fetch").run(folder)
    return folder


@pytest.fixture(scope="module")
def now(mlops: Any, dataset: dict[str, pd.DataFrame], raw: dict[str, pd.DataFrame]) -> datetime:
    """Return the time of a test's requests, until which the online store is filled."""
    times = dataset["test"]["event_timestamp"]
    busiest = times.dt.floor("h").mode().iloc[0]  # so that some entities have features
    at: datetime = (busiest + pd.Timedelta(hours=1)).to_pydatetime()
    _materialize(mlops, raw, at)
    return at


def _materialize(mlops: Any, raw: dict[str, pd.DataFrame], until: datetime | None = None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlops("data.ingest"), "load", lambda: raw)
        mlops("serving.materialize").run(until)


@pytest.fixture
def serve(mlops: Any, fetched: Path, now: datetime) -> Iterator[Callable[..., Service]]:
    """Return a function that starts the service, optionally with a log and a challenger."""
    started: list[Service] = []

    def run(place: Path | str | None = None, shadow: Any = None, model: Any = None) -> Service:
        app = mlops("serving.app")
        model = model or mlops("registry.loading").load(fetched, "mlops_champion")
        log = mlops("serving.prediction_log").Log(place and str(place), "1", shadow)
        online = mlops("serving.online_features").Online()
        lookups = mlops("serving.lookups").Lookups(online, timeout=30, now=lambda: now)
        predictor = mlops("serving.predictor").Predictor(model, lookups, log)
        identity = {"name": "model", "version": "1", "digest": "0"}
        config = mlops("serving.server").config(app.routes(predictor, identity))
        started.append(Service(config, predictor))
        return started[-1]

    yield run
    for service in started:
        service.stop()


@pytest.fixture(scope="module")
def requests(mlops: Any, raw: dict[str, pd.DataFrame], now: datetime) -> pd.DataFrame:
    """Return up to a thousand requests of the sample, with `now` as their time."""
    features = mlops("contract").features()
    values = mlops("params").section("features", features.Params)
    rows: pd.DataFrame = mlops("data.features").requests(raw, values)
    rows = rows.sample(min(ROWS, len(rows)), random_state=0, ignore_index=True)
    return rows.assign(event_timestamp=pd.Timestamp(now))


@pytest.fixture(scope="module")
def joined(mlops: Any, requests: pd.DataFrame) -> pd.DataFrame:
    """Return the requests with the features that training and batch inference would use."""
    schema = mlops("contract").schema().Features
    with mlops("data.feature_store").opened() as feast:
        rows = mlops("data.feature_store").join(feast, requests)
    checked: pd.DataFrame = mlops("tables").check(rows, schema, "the rows")
    return checked


def _exact(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as in JSON, with exact numbers."""
    records: list[dict[str, Any]] = json.loads(json.dumps(rows.to_dict(orient="records")))
    return [{key: None if value != value else value for key, value in r.items()} for r in records]


def _inputs(mlops: Any, requests: pd.DataFrame) -> list[str]:
    online = mlops("serving.online_features").Online()
    columns = mlops("serving.schema").columns()
    derivation = mlops("derive").Derivation(mlops("derive").hook())
    sent = set(online.keys) | (set(columns) - set(online.ttl)) | {*derivation.example}
    return [str(name) for name in requests if name in sent - {*derivation.columns}]


def _same(answer: httpx.Response, expected: pd.DataFrame) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == _exact(expected)


@pytest.mark.parametrize("source", ["client", "Feast"])
def test_http_and_batch_give_the_same_numbers_to_the_last_bit(
    mlops: Any, trained: Any, serve: Any, requests: pd.DataFrame, joined: pd.DataFrame, source: str
) -> None:
    service = serve()
    expected = mlops("contract").model().predict(trained, joined)
    assert len(expected) > 100
    columns = [*mlops("serving.schema").columns()]
    keys = [name for name in mlops("serving.online_features").Online().keys if name not in columns]
    sent = joined[[*columns, *keys]] if source == "client" else requests[_inputs(mlops, requests)]
    before = service.metric("mlops_online_store_failures_total")
    _same(service.predict(_exact(sent)), expected)
    with ThreadPoolExecutor(8) as pool:  # concurrent requests share a batch
        answers = list(pool.map(lambda row: service.predict([row]), _exact(sent.head(200))))
    for number, answer in enumerate(answers):
        _same(answer, expected.iloc[[number]])
    assert service.metric("mlops_online_store_failures_total") == before


def test_clients_do_not_send_derived_columns(
    mlops: Any,
    trained: Any,
    serve: Any,
    fetched: Path,
    requests: pd.DataFrame,
    joined: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hook is the model's own code; responses equal the batch's to the last bit."""
    contract, inputs = mlops("contract"), _inputs(mlops, requests)
    name, example = next(each for each in inputs if each in contract.inputs()), contract.example()
    if not example:
        pytest.skip("schema.py has no EXAMPLE")
    sent = requests[inputs].rename(columns={name: "as_sent"})
    request = {"as_sent": example[name], **{n: v for n, v in example.items() if n != name}}
    monkeypatch.setattr(contract, "example", lambda: request)
    model = mlops("registry.loading").load(fetched, "mlops_champion")
    model.derive = lambda: lambda rows: rows.assign(**{name: rows["as_sent"]})
    service = serve(model=model)
    service.predictor.try_out(request)
    _same(service.predict(_exact(sent)), mlops("contract").model().predict(trained, joined))
    (row,) = _exact(sent.head(1))
    _same(service.predict([row]), mlops("contract").model().predict(trained, joined.head(1)))
    assert service.predict([{**row, name: example[name]}]).status_code == 422
    page = service.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    schema = page["requestBody"]["content"]["application/json"]["schema"]
    assert {"as_sent"} < {*schema["properties"]["rows"]["items"]["properties"]} - {name}


def test_an_incomplete_example_is_reported_at_startup(
    mlops: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, contract = serve(), mlops("contract")
    if not (example := contract.example()):
        pytest.skip("schema.py has no EXAMPLE")
    name = next(iter(example))
    less = {each: value for each, value in example.items() if each != name}
    derivation = mlops("derive").Derivation(example=less)
    online = service.predictor.lookups.online
    with pytest.raises(mlops("errors").Problem, match=rf"EXAMPLE lacks {name}"):
        derivation.check(online.ttl, online.keys)


def test_a_feature_older_than_its_ttl_counts_as_missing(
    mlops: Any, serve: Any, requests: pd.DataFrame, now: datetime
) -> None:
    service = serve()
    online = service.predictor.lookups.online
    entities = _exact(requests[_inputs(mlops, requests)])
    fresh = online.read(entities, now)
    assert any(value is not None for values in fresh.values() for value in values)
    for name, ttl in online.ttl.items():
        if ttl:
            late = online.read(entities, now + ttl + pd.Timedelta(days=1))
            assert late[name] == [None] * len(entities)
            assert service.metric("mlops_feature_age_seconds") > ttl.total_seconds()


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"rows",
    "not UTF-8": b'{"rows": [{"\xff": 1}]}',
    "a lone surrogate": b'{"rows": [{"\\ud800": "\\udfff"}]}',
    "deep": b'{"rows": ' + b"[" * 100_000,
    "no rows": b'{"rows": []}',
    "no object": b"[]",
    "rows of null": b'{"rows": [null]}',
    "another key": b'{"rows": [{}], "row": 1}',
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_an_invalid_body_is_refused(serve: Any, body: bytes) -> None:
    answer = serve().client.post("/v1/predict", content=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"]
    assert len(answer.content) < 10_000


def test_a_bad_value_is_refused_by_name(mlops: Any, serve: Any, requests: pd.DataFrame) -> None:
    service = serve()
    good = _exact(requests[_inputs(mlops, requests)].head(1))[0]
    assert service.predict([good]).status_code == 200
    for name in good:
        for value in ("[]", "{}", "NaN", "-Infinity", "1e400", "9" * 400, '"' + "x" * 70_000 + '"'):
            text = json.dumps({**good, name: "HERE"}).replace('"HERE"', value)
            answer = service.client.post("/v1/predict", content=f'{{"rows": [{text}]}}')
            assert answer.status_code == 422, (name, value[:20], answer.text)
            where = answer.json()["errors"][0]["where"]
            # NaN and numbers outside of JSON stop the parser.
            assert where[:3] == ["rows", 0, name] or not where
        without = {key: value for key, value in good.items() if key != name}
        assert service.predict([without]).json()["errors"][0]["where"] == ["rows", 0, name]
    answer = service.predict([{**good, "surprise": 1}])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == ["rows", 0, "surprise"]
    many = service.predict([good] * (mlops("serving.schema").MAX_ROWS + 1))
    assert many.status_code == 422
    assert many.json()["errors"][0]["where"] == ["rows"]


def test_an_integer_may_be_written_as_a_float(
    mlops: Any, serve: Any, requests: pd.DataFrame
) -> None:
    service = serve()
    good = _exact(requests[_inputs(mlops, requests)].head(1))[0]
    whole = [name for name, value in good.items() if type(value) is int]
    if not whole:
        pytest.skip("no input is a whole number")
    answer = service.predict([good]).json()
    assert service.predict([good | {name: float(good[name]) for name in whole}]).json() == answer
    for name in whole:
        for value in (good[name] + 0.5, str(good[name]), True, 1e300):
            refused = service.predict([good | {name: value}])
            assert refused.status_code == 422, (name, value)
            assert refused.json()["errors"][0]["where"] == ["rows", 0, name]


def test_a_body_is_limited_in_length_and_time(
    mlops: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve()
    long = service.client.post(
        "/v1/predict", content=b" " * (mlops("serving.parsing").MAX_BODY + 1)
    )
    assert (long.status_code, long.headers["connection"]) == (413, "close")
    monkeypatch.setattr(mlops("serving.parsing"), "BODY_SECONDS", 0.2)
    with socket.create_connection(service.address) as slow:
        slow.sendall(b"POST /v1/predict HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
        assert b" 408 " in slow.recv(1_000)
        slow.settimeout(10)
        while slow.recv(1_000):  # until the service hangs up
            pass
    assert service.client.get("/healthz").status_code == 200


def test_requests_have_ids_and_are_counted(mlops: Any, serve: Any, requests: pd.DataFrame) -> None:
    service = serve()
    rows = _exact(requests[_inputs(mlops, requests)].head(3))
    before = service.metric("mlops_rows_total")
    assert service.predict(rows, **{"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert len(service.predict(rows).headers["x-request-id"]) == 32
    refused = service.predict([{}], **{"x-request-id": "abc-2"})
    assert refused.headers["x-request-id"] == "abc-2"
    assert service.metric("mlops_rows_total") - before == 6
    assert service.metric("mlops_requests_in_flight") == 0
    assert service.client.get("/healthz").json() == {"status": "ok"}
    assert service.client.get("/readyz").json()["model"]["version"] == "1"
    page = service.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    schema = page["requestBody"]["content"]["application/json"]["schema"]
    row = schema["properties"]["rows"]["items"]
    assert set(rows[0]) <= set(row["properties"])
    assert row.get("examples", [{}]) == [mlops("contract").example()]


def test_the_example_is_answered(mlops: Any, serve: Any) -> None:
    if not (example := mlops("contract").example()):
        pytest.skip("schema.py has no EXAMPLE")
    answer = serve().predict([example])
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("failure", ["away", "slow"])
def test_without_the_online_store_defaults_are_used(
    mlops: Any,
    serve: Any,
    trained: Any,
    requests: pd.DataFrame,
    joined: pd.DataFrame,
    failure: str,
) -> None:
    service, resume = serve(), threading.Event()

    def read(*_: Any) -> Any:
        if failure == "away":
            raise ConnectionError
        resume.wait(60)

    lookups = service.predictor.lookups
    lookups.online.read, lookups.timeout = read, 0.05
    served = [*lookups.online.ttl]
    before = service.metric("mlops_online_store_failures_total")
    rows = requests[_inputs(mlops, requests)].head(7)
    try:
        nothing = joined.head(7).copy()
        nothing[served] = float("nan")
        expected = mlops("contract").model().predict(trained, nothing)
        for _ in range(6):  # more than the look-ups that may hang
            _same(service.predict(_exact(rows)), expected)
        assert service.client.get("/readyz").status_code == 200
    finally:
        resume.set()
    assert service.metric("mlops_online_store_failures_total") - before == 6 * 7
    assert service.metric("mlops_feature_missing_total") > 0


def test_a_complete_request_does_not_wait_for_the_online_store(
    mlops: Any, serve: Any, requests: pd.DataFrame, joined: pd.DataFrame
) -> None:
    service, asking, resume = serve(), threading.Event(), threading.Event()
    online = service.predictor.lookups.online

    def read(*_: Any) -> Any:
        asking.set()
        resume.wait(60)
        return {}

    online.read = read
    names = {*mlops("serving.schema").columns(), *online.keys}
    whole = joined.dropna(subset=[*online.ttl])
    (complete,) = _exact(whole[[name for name in joined if name in names]].head(1))
    (lacking,) = _exact(requests[_inputs(mlops, requests)].head(1))
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(service.predict, [lacking])
        try:
            assert asking.wait(30)
            service.predictor._pace = 0.0  # expected to be quick
            body = {"rows": [complete]}
            answer = service.client.post("/v1/predict", json=body, timeout=10)
            assert answer.status_code == 200
            assert not late.done()
        finally:
            resume.set()
        assert late.result().status_code == 200


def test_an_unknown_feature_without_a_default_is_reported(
    mlops: Any, serve: Any, requests: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve()
    name = next(iter(service.predictor.lookups.online.ttl))
    column = mlops("serving.schema").columns()[name]
    service.predictor.lookups.online.read = lambda rows, _: {name: [None] * len(rows)}
    rows = _exact(requests[_inputs(mlops, requests)].head(1))
    monkeypatch.setattr(column, "nullable", False)
    answer = service.predict(rows)
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["where"] == ["rows", name]
    monkeypatch.setattr(column, "default", 3.0)
    assert service.predict(rows).status_code == 200


class Picky:
    """A model that fails for a batch with a certain value."""

    def __init__(self, model: Any, column: str, value: Any) -> None:
        """Fail if `column` holds `value`."""
        self.model, self.column, self.value = model, column, value

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Wait, so that others join the next batch; then predict or fail."""
        time.sleep(0.05)
        if (rows[self.column] == self.value).any():
            raise ValueError("a secret of the model")
        predictions: pd.DataFrame = self.model.predict(rows)
        return predictions


def test_a_request_that_fails_does_not_fail_others(
    mlops: Any, serve: Any, fetched: Path, requests: pd.DataFrame
) -> None:
    inputs = _inputs(mlops, requests)
    columns = mlops("serving.schema").columns()  # those of the model, without keys
    column = next(
        name for name in columns if name in requests and 1 < requests[name].head(60).nunique() < 60
    )
    value = requests[column].iloc[0]
    picky = Picky(mlops("registry.loading").load(fetched, "mlops_champion"), column, value)
    service = serve(model=picky)
    rows = _exact(requests[inputs].head(60))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda row: service.predict([row]), rows))
    expected = [500 if row[column] == value else 200 for row in rows]
    assert [answer.status_code for answer in answers] == expected
    assert set(expected) == {200, 500}
    assert "secret" not in answers[0].text


@pytest.mark.parametrize("fails", [False, True])
def test_a_challenger_is_logged_and_never_returned(
    mlops: Any, serve: Any, fetched: Path, requests: pd.DataFrame, tmp_path: Path, fails: bool
) -> None:
    inputs = _inputs(mlops, requests)
    shadow = mlops("registry.loading").load(fetched, "mlops_challenger")
    if fails:
        column = next(name for name in mlops("serving.schema").columns() if name in requests)
        shadow = Picky(shadow, column, requests[column].iloc[0])
    service = serve(tmp_path / "log", shadow)
    failures = service.metric("mlops_shadow_failures_total")
    rows = requests[inputs].head(40)
    answer = service.predict(_exact(rows), **{"x-request-id": "mine"})
    assert answer.status_code == 200
    assert not any(name.startswith("shadow") for name in answer.json()["predictions"][0])
    service.stop()
    (file,) = (tmp_path / "log").glob("date=*/*.parquet")
    log = pd.read_parquet(file)
    assert set(log["request"]) == {"mine"}
    assert set(log["model_version"]) == {"1"}
    assert set(log["predicted_at"]) == {pd.Timestamp(service.predictor.lookups.now())}
    pd.testing.assert_frame_equal(log[inputs], rows, check_dtype=False)
    returned = pd.DataFrame(answer.json()["predictions"])
    pd.testing.assert_frame_equal(log[[*returned]], returned)
    assert [f"shadow_{name}" in log for name in returned] == [not fails] * len(returned.columns)
    counted = mlops("serving.metrics").SHADOW_FAILURES._value.get() - failures
    assert counted == fails


def test_an_unwritable_log_does_not_stop_responses(
    mlops: Any, serve: Any, requests: pd.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("a file, where a folder should be")
    service = serve(tmp_path / "log")
    dropped = service.metric("mlops_log_dropped_rows_total")
    assert service.predict(_exact(requests[_inputs(mlops, requests)].head(5))).status_code == 200
    service.stop()
    assert mlops("serving.metrics").LOG_DROPPED._value.get() - dropped == 5


def test_columns_of_any_name_are_logged(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's own columns keep their names; then those of the predictions have precedence."""
    columns = ["request", "date", "probability", "shadow_probability", "a"]
    schema = pa.DataFrameSchema({name: pa.Column(float) for name in columns})
    monkeypatch.setattr(mlops("serving.schema"), "columns", lambda: schema.columns)
    log = mlops("serving.prediction_log")
    writing = log.Log(str(tmp_path), "1", shadow=Halving())
    writing.keys = ["model_version", "key"]
    prediction = {"probability": 0.5, "predicted_at": 6.0}
    now = datetime.now(UTC)
    writing.put(log.Batch(["mine"], [["v", 7]], [(1.0, 2.0, 3.0, 4.0, 5.0)], [prediction], now))
    writing.close()
    (file,) = tmp_path.glob("date=*/*.parquet")
    (row,) = pq.ParquetFile(file).read().to_pylist()
    assert row == {
        "request": "mine",
        "predicted_at": now,
        "model_version": "1",
        "probability": 0.5,
        "prediction_predicted_at": 6.0,
        "shadow_probability": 1.5,
        "request_model_version": "v",
        "key": 7,
        "request_request": 1.0,
        "request_date": 2.0,
        "request_probability": 3.0,
        "request_shadow_probability": 4.0,
        "a": 5.0,
    }


class Halving:
    """A challenger that predicts half."""

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows[["probability"]] / 2


def test_a_log_in_a_relative_folder_is_under_the_current_one(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = mlops("serving.prediction_log").Log("data/log", "1")
    batch = mlops("serving.prediction_log").Batch(["a"], [[]], [], [{"score": 1}], datetime.now())
    monkeypatch.setattr(log, "_table", lambda _: pd.DataFrame({"score": [1]}))
    log.put(batch)
    log.close()
    assert len([*tmp_path.glob("data/log/date=*/*.parquet")]) == 1


def test_an_unknown_log_location_is_reported(mlops: Any) -> None:
    with pytest.raises(mlops("errors").Problem, match=r"MLOPS_PREDICTION_LOG=what://is/this: "):
        mlops("serving.prediction_log").Log("what://is/this", "1")


class Noting:
    """A quick model that records the threads it runs in."""

    def __init__(self, mlops: Any, by_row: bool) -> None:
        """Predict the same for any row; with `by_row`, it has a single-row predictor."""
        names = mlops("contract").schema().Predictions.to_schema().columns
        self.values, self.threads = dict.fromkeys(names, 0.5), set[int]()
        self.row_predictor = lambda: self._one if by_row else None

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame([self._one(row) for row in rows.to_dict("records")])

    def _one(self, _: Any) -> dict[str, Any]:
        self.threads.add(threading.get_ident())
        return self.values


def _predictor(
    mlops: Any, service: Service, model: Any, joined: pd.DataFrame
) -> tuple[Any, dict[str, Any]]:
    """Return the predictor of a model, and a complete row."""
    lookups = service.predictor.lookups
    names = {*mlops("serving.schema").columns(), *lookups.online.keys}
    (row,) = _exact(joined[[*names]].head(1))
    log = mlops("serving.prediction_log").Log(None, "1")
    return mlops("serving.predictor").Predictor(model, lookups, log), row


@pytest.mark.parametrize("by_row", [True, False])
@pytest.mark.parametrize("size", ["few", "many", "long"])
@pytest.mark.parametrize("pace", [3e-6, 1e-6], ids=["after a row", "after a thousand"])
def test_a_large_batch_does_not_block_the_event_loop(
    mlops: Any, serve: Any, joined: pd.DataFrame, pace: float, size: str, by_row: bool
) -> None:
    model = Noting(mlops, by_row)
    predictor, row = _predictor(mlops, serve(), model, joined)
    rows = [{**row, "note": "x" * (60_000 if size == "long" else 1)}]
    rows *= 1_000 if size == "many" else 1

    async def ask() -> None:
        predictor._pace = pace
        model.threads.clear()
        await predictor.predict(rows, len(json.dumps(rows)))

    asyncio.run(ask())
    assert (model.threads == {threading.get_ident()}) == (size == "few")


class Slow(Noting):
    """A model that takes 2 ms for a row and 20 ms for a table."""

    rows = 0

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        time.sleep(0.02)
        return pd.DataFrame([self.values] * len(rows))

    def _one(self, _: Any) -> dict[str, Any]:
        time.sleep(0.002)
        self.rows += 1
        return self.values


@pytest.mark.parametrize(("count", "one_by_one"), [(3, 3), (100, 0)])
def test_rows_are_predicted_the_faster_way(
    mlops: Any, serve: Any, joined: pd.DataFrame, count: int, one_by_one: int
) -> None:
    model = Slow(mlops, by_row=True)
    predictor, row = _predictor(mlops, serve(), model, joined)
    predictor.try_out(row)
    model.rows = 0
    predictions = asyncio.run(predictor.predict([row] * count, 300 * count))
    assert (predictions, model.rows) == ([model.values] * count, one_by_one)


def test_a_clone_without_features_is_served(
    mlops: Any, fetched: Path, raw: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make serve` needs only the production model and data.load."""
    monkeypatch.setattr(os, "environ", {**os.environ})
    monkeypatch.setattr(mlops("data.ingest"), "load", lambda: raw)
    served: list[Any] = []
    monkeypatch.setattr(mlops("serving.server"), "serve", lambda *args: served.extend(args))
    features, aside = mlops("files").FEATURES, Path("data/aside")
    features.rename(aside)
    try:
        mlops("serving.server").run(0)
    finally:
        aside.rename(features)
    app, listening, _ = served
    listening.close()
    assert app.title == mlops("settings").settings().model_name


@contextlib.contextmanager
def _process(
    fetched: Path, stderr: Path, **env: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("mlops")), "serve", "--port", str(port)]
    # The service does not need MLflow, which cannot be reached here.
    own = {"MLOPS_ONLINE_TIMEOUT": "30", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    env = {**os.environ, "MLOPS_MODEL": str(fetched), **own, **env}
    with stderr.open("w") as log:
        process = subprocess.Popen(command, env=env, stderr=log, text=True)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_a_model_with_another_digest_is_refused_at_start(fetched: Path, tmp_path: Path) -> None:
    stderr = tmp_path / "log"
    with _process(fetched, stderr, MLOPS_MODEL_DIGEST="0" * 64) as (process, _):
        assert process.wait(timeout=120) == 1
    (line,) = stderr.read_text().strip().splitlines()
    assert line.startswith("mlops serve: ")
    assert line.endswith(f"expected {'0' * 64}")


def _ready(client: httpx.Client) -> int:
    try:
        return client.get("/readyz").status_code
    except httpx.TransportError:
        return 0


def _until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


@dataclasses.dataclass
class Process:
    """The service in a process of its own, with its log and the names of the spans it sent."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    spans: list[str]


@pytest.fixture(scope="module")
def traced(
    fetched: Path, now: datetime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """Start the service with a collector of traces; the last test stops it."""
    names: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        """Receives spans like OpenTelemetry's collector."""

        def do_POST(self) -> None:
            """Keep the names of the spans."""
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            sent = ExportTraceServiceRequest.FromString(body)
            for resource in sent.resource_spans:
                spans = [span for scope in resource.scope_spans for span in scope.spans]
                names.extend(span.name for span in spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    log = tmp_path_factory.mktemp("traced") / "log"
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "MLOPS_DRAIN_SECONDS": "10",
        }
        with _process(fetched, log, **variables) as (process, url):
            with httpx.Client(base_url=url) as client:
                _until(lambda: _ready(client) == 200)
            yield Process(process, url, log, names)
        collector.shutdown()


def test_traces_go_where_the_variables_say(
    mlops: Any, traced: Process, requests: pd.DataFrame
) -> None:
    body = {"rows": _exact(requests[_inputs(mlops, requests)].head(1))}
    with httpx.Client(base_url=traced.url, timeout=60) as client:
        assert client.post("/v1/predict", json=body).status_code == 200
    _until(lambda: "POST /v1/predict" in traced.spans)
    assert not any("readyz" in name for name in traced.spans)


def test_a_signal_under_load_drops_no_request(
    mlops: Any, traced: Process, requests: pd.DataFrame
) -> None:
    """The last test of this process."""
    body = {"rows": _exact(requests[_inputs(mlops, requests)].head(1))}
    statuses: list[int] = []

    def predicted() -> int:
        lines = [json.loads(line) for line in traced.log.read_text().splitlines()]
        return sum(line["message"] == "predicted" for line in lines)

    def load(_: int) -> None:
        """Send like a load balancer: until the service reports that it is not ready."""
        with httpx.Client(base_url=traced.url, timeout=60) as client:
            while True:
                answer = client.post("/v1/predict", json=body)
                statuses.append(answer.status_code)
                if answer.headers.get("connection") == "close" and _ready(client) == 503:
                    return

    earlier = predicted()
    with ThreadPoolExecutor(16) as pool:
        clients = pool.map(load, range(16))
        _until(lambda: len(statuses) > 100)
        before = len(statuses)
        traced.process.send_signal(signal.SIGTERM)
        list(clients)
    assert traced.process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert len(statuses) > before
    assert set(statuses) == {200}
    assert predicted() - earlier == len(statuses)


def test_the_service_needs_no_training_libraries(mlops: Any, fetched: Path) -> None:
    code = """
import importlib, sys
away = ("mlflow", "dvc", "sklearn", "matplotlib", "deltalake")
sys.modules.update(dict.fromkeys(away))
importlib.import_module(sys.argv[1] + ".server")
app = importlib.import_module(sys.argv[1] + ".app")
del sys.modules["sklearn"]  # a model may be made of it
app.create()
"""
    serving = mlops("serving").__name__
    done = subprocess.run(
        [sys.executable, "-c", code, serving],
        env={**os.environ, "MLOPS_MODEL": str(fetched)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Turns(Noting):
    """A slow model that predicts the values in turn; it fails if it has none."""

    def __init__(self, mlops: Any, *values: float, seconds: float = 0.0) -> None:
        super().__init__(mlops, by_row=False)
        self.turns, self.seconds = values, seconds

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        time.sleep(self.seconds)
        turns = [self.turns[number % len(self.turns)] for number in range(len(rows))]
        return pd.DataFrame(dict.fromkeys(self.values, turns))


def test_alerts_and_panels_read_what_a_running_service_exports(
    mlops: Any,
    serve: Any,
    fetched: Path,
    now: datetime,
    requests: pd.DataFrame,
    prometheus: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLOPS_MODEL", str(fetched))
    mlops("serving.app").create()  # exports the model's identity
    (tmp_path / "file").write_text("where the log's folder should be")
    service, unlogged = serve(), serve(tmp_path / "file")
    lookups, rows = service.predictor.lookups, _exact(requests[_inputs(mlops, requests)])
    features = lookups.online.read(rows, now).values()
    best = rows[max(range(len(rows)), key=lambda n: sum(v[n] is not None for v in features))]

    def record(
        *values: float,
        target: Service = service,
        sent: Any = (best,) * 100,
        seconds: float = 0.0,
        **lookup: Any,
    ) -> tuple[str, str]:
        """Return the exported metrics before and after these rows, for these predictions."""
        before = target.client.get("/metrics").text
        with monkeypatch.context() as patch:
            patch.setattr(target.predictor, "_one", None)
            patch.setattr(target.predictor, "model", Turns(mlops, *values, seconds=seconds))
            patch.setattr(target.predictor, "lookups", dataclasses.replace(lookups, **lookup))
            target.predict([*sent])
        target.predictor.log.close()
        return before, service.client.get("/metrics").text

    away = copy.copy(lookups.online)
    away.read = None
    twice, near, below = record(1.0), record(0.6), record(-0.5)
    signs, more = record(5.0, -5.0), record(5.5, -4.5)
    failing, refused = record(seconds=0.6), record(0.5, sent=[{"surprise": 1}])
    store, log = record(0.5, online=away), record(0.5, target=unlogged)
    late = record(0.5, now=lambda: now + pd.Timedelta(days=400))
    healthy = record(0.5)

    missing = {"MlopsFeatureMissing"} if any(lookups.online.ttl.values()) else set()
    labels = {"namespace": "flights", "job": "serve", "pod": "a"}
    up = {"app_kubernetes_io_component": "serve"}
    panels = prometheus.panels("Service", "Features")
    hours: list[tuple[tuple[str, str], set[str]]] = [
        (healthy, set()),
        (refused, set()),
        (("", ""), {"MlopsNotSeen"}),
        (failing, {"MlopsErrors", "MlopsSlow"}),
        (log, {"MlopsLogDropsRows"}),
        (store, {"MlopsOnlineStoreFails"}),
        (late, {"MlopsFeatureStale", *missing}),
    ]
    for fault, names in hours:
        firing = {"55m": set(), "75m" if fault is store else "110m": names}
        prometheus.play([(*healthy, 60), (*fault, 60)], firing, panels, labels, up)
    weeks: list[tuple[tuple[str, str], tuple[str, str], set[str]]] = [
        (healthy, near, set()),
        (healthy, twice, {"MlopsPredictionsMoved"}),
        (healthy, below, {"MlopsPredictionsMoved"}),
        (signs, more, set()),
    ]
    for before, after, names in weeks:
        firing = {"7d": set(), "7d5h": names}
        prometheus.play([(*before, 168), (*after, 8)], firing, [], labels, up, 3600)
    fired = [names for *_, names in (*hours, *weeks)]
    assert set().union(*fired) == {*prometheus.rules("mlops-service")}
