"""The service with the stores of a cluster: features from Redis, the prediction log in S3.

test_guarantees.py copies this file to tests/platform/serving/ of a repo, since it uses fixtures of
the service's tests. It is not part of the repo, because a team should need neither Redis nor moto.
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
requests, fetched, joined, now, serve = (
    getattr(local, name) for name in ("requests", "fetched", "joined", "now", "serve")
)

pytestmark = pytest.mark.filterwarnings("default")


class Redis:
    """A Redis server that can be stopped and started again; it then is empty."""

    def __init__(self, folder: Path) -> None:
        """Start the server on a free port."""
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
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
        """Kill the server, even if it is suspended."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module", autouse=True)
def redis(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """The online store, entered in feature_store.yaml."""
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
def test_without_redis_defaults_are_used_until_it_recovers(
    mlops: Any, serve: Any, redis: Redis, trained: Any, raw: dict[str, pd.DataFrame],
    requests: pd.DataFrame, joined: pd.DataFrame, now: Any, failure: str,
) -> None:  # fmt: skip
    service = serve()
    predict = mlops("contract").model().predict
    sent = local._exact(requests[local._inputs(mlops, requests)].head(50))
    local._same(service.predict(sent), predict(trained, joined.head(50)))
    before = service.metric("mlops_online_store_failures_total")
    lookups = service.predictor.lookups
    nothing = joined.head(50).copy()
    nothing[[*lookups.online.ttl]] = float("nan")
    assert not predict(trained, nothing).equals(predict(trained, joined.head(50)))

    if failure == "away":
        redis.stop()
        mlops("serving.online_features").Online()  # a service can start without Redis
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
    """A bucket on a server that Arrow and boto3 find through the standard variables."""
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


def test_the_prediction_log_is_written_to_s3(
    mlops: Any, serve: Any, bucket: Any, requests: pd.DataFrame
) -> None:
    service = serve("s3://bucket/log")
    rows = requests[local._inputs(mlops, requests)].head(40)
    response: httpx.Response = service.predict(local._exact(rows), **{"x-request-id": "mine"})
    assert response.status_code == 200
    service.stop()
    keys = [one.key for one in bucket.objects.all() if not one.key.endswith("/")]
    (key,) = keys
    assert key.startswith("log/date=")
    assert not Path(key).name.startswith(".")
    log = pd.read_parquet(io.BytesIO(bucket.Object(key).get()["Body"].read()))
    assert set(log["request"]) == {"mine"}
    predictions = pd.DataFrame(response.json()["predictions"])
    pd.testing.assert_frame_equal(log[[*predictions]], predictions)
    pd.testing.assert_frame_equal(log[[*rows]], rows, check_dtype=False)


def test_a_missing_bucket_does_not_stop_responses(
    mlops: Any, serve: Any, bucket: Any, requests: pd.DataFrame
) -> None:
    service = serve("s3://elsewhere/log")
    dropped = service.metric("mlops_log_dropped_rows_total")
    sent = local._exact(requests[local._inputs(mlops, requests)].head(5))
    assert service.predict(sent).status_code == 200
    service.stop()
    assert mlops("serving.metrics").LOG_DROPPED._value.get() - dropped == 5
