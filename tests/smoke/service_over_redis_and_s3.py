"""The service with the stores that a cluster has: features from Redis, the prediction log in S3.

test_guarantees.py puts this file into a repo's tests/platform/, beside the tests of the service
whose fixtures it takes, since neither a Redis nor moto is anything that a team's repo should need.
"""

import importlib.util
import io
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pandas as pd
import pytest
import yaml
from moto.server import ThreadedMotoServer

STORE = Path("feature_repo/feature_store.yaml")
spec = importlib.util.spec_from_file_location(
    "test_serving_local", Path(__file__).with_name("test_serving.py")
)
assert spec
assert spec.loader
local: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(local)
asked, fetched, joined, now, serve = (
    getattr(local, name) for name in ("asked", "fetched", "joined", "now", "serve")
)

pytestmark = pytest.mark.filterwarnings("default")


class Redis:
    """A server of its own, which can be away and come back, as empty as it was."""

    def __init__(self, folder: Path) -> None:
        """Start it on a free port."""
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1")
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), *options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                assert self.process.poll() is None
                time.sleep(0.05)

    def stop(self) -> None:
        """End it, hung or not."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module", autouse=True)
def redis(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """The online store that feature_store.yaml names."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    values = yaml.safe_load(STORE.read_text())
    values["online_store"] = {
        "type": "redis",
        "connection_string": f"127.0.0.1:{server.port},socket_timeout=1",
    }
    STORE.write_text(yaml.safe_dump(values))
    yield server
    server.stop()


test_from_redis = local.test_http_and_batch_give_the_same_numbers_to_the_last_bit
test_too_old_in_redis = local.test_a_feature_older_than_its_ttl_counts_as_missing


@pytest.mark.parametrize("failure", ["away", "hung"])
def test_without_redis_defaults_answer_until_it_is_back(
    mlops: Any, serve: Any, redis: Redis, trained: Any, raw: dict[str, pd.DataFrame],
    asked: pd.DataFrame, joined: pd.DataFrame, now: Any, failure: str,
) -> None:  # fmt: skip
    service = serve()
    predict = mlops("contract").model().predict
    sent = local._exact(asked[local._inputs(mlops, asked)].head(50))
    local._same(service.predict(sent), predict(trained, joined.head(50)))
    before = service.metric("mlops_online_store_failures_total")
    lookups = service.predictor.lookups
    nothing = joined.head(50).copy()
    nothing[[*lookups.online.ttl]] = float("nan")
    assert not predict(trained, nothing).equals(predict(trained, joined.head(50)))

    if failure == "away":
        redis.stop()
        mlops("serving.online").Online()  # a service that starts now does not notice
    else:
        redis.process.send_signal(signal.SIGSTOP)
    lookups.timeout = 0.1
    for _ in range(6):
        local._same(service.predict(sent), predict(trained, nothing))
    assert service.client.get("/readyz").status_code == 200
    assert service.metric("mlops_online_store_failures_total") - before == 6 * 50

    if failure == "away":
        redis.start()
        local._materialize(mlops, raw, now)
    else:
        redis.process.send_signal(signal.SIGCONT)
    lookups.timeout = 30
    expected = local._exact(predict(trained, joined.head(50)))
    local._until(lambda: service.predict(sent).json()["predictions"] == expected)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of a server that Arrow and boto3 find by the standard variables."""
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = boto3.resource("s3").Bucket("bucket")
    bucket.create()
    yield bucket
    server.stop()


def test_the_prediction_log_is_kept_in_s3(
    mlops: Any, serve: Any, bucket: Any, asked: pd.DataFrame
) -> None:
    service = serve("s3://bucket/log")
    rows = asked[local._inputs(mlops, asked)].head(40)
    answer: httpx.Response = service.predict(local._exact(rows), **{"x-request-id": "mine"})
    assert answer.status_code == 200
    service.stop()
    keys = [one.key for one in bucket.objects.all() if not one.key.endswith("/")]
    (key,) = keys
    assert key.startswith("log/date=")
    assert not Path(key).name.startswith(".")
    log = pd.read_parquet(io.BytesIO(bucket.Object(key).get()["Body"].read()))
    assert set(log["request"]) == {"mine"}
    said = pd.DataFrame(answer.json()["predictions"])
    pd.testing.assert_frame_equal(log[[*said]], said)
    pd.testing.assert_frame_equal(log[[*rows]], rows, check_dtype=False)


def test_a_bucket_that_is_away_stops_no_answer(
    mlops: Any, serve: Any, bucket: Any, asked: pd.DataFrame
) -> None:
    service = serve("s3://elsewhere/log")
    dropped = service.metric("mlops_log_dropped_rows_total")
    sent = local._exact(asked[local._inputs(mlops, asked)].head(5))
    assert service.predict(sent).status_code == 200
    service.stop()
    assert mlops("serving.metrics").LOG_DROPPED._value.get() - dropped == 5
