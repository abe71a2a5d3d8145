"""`mlops stage` over S3: the same bytes, and a number of requests independent of earlier runs.

test_guarantees.py copies this file to tests/platform/runner/ of a repo, since it uses the toy repo
defined there. It is not part of the repo, because a team should not need to install moto.
"""

import importlib.util
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

STAGE = Path(__file__).with_name("test_stage.py")
spec = importlib.util.spec_from_file_location("test_stage_local", STAGE)
assert spec
assert spec.loader
local: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(local)
toy = local.toy

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "MLOPS_DVC_REMOTE": "s3://bucket/dvc",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = boto3.resource("s3").Bucket("bucket")
    bucket.create()
    yield bucket
    server.stop()


@pytest.mark.usefixtures("bucket")
def test_same_bytes_over_s3(toy: Any, bucket: Any) -> None:
    names = local.STAGES[:3]
    toy.run(*names)
    digests: dict[str, str] = {}
    for lock in bucket.objects.filter(Prefix="dvc/runs/r1/"):
        stages = yaml.safe_load(lock.get()["Body"].read())["stages"].values()
        digests |= {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}
    assert toy.run(names[-1]) == []
    os.environ.pop("MLOPS_DVC_REMOTE")
    assert digests.items() < toy.repro().items()


def test_environments_do_not_share_runs_over_s3(toy: Any, bucket: Any) -> None:
    for environment in ("staging", "prod"):
        toy.monkeypatch.setenv("MLOPS_ENVIRONMENT", environment)
        assert toy.run("ingest", "features@x") == ["ingest", "features"]
    folders = {lock.key.rpartition("/")[0] for lock in bucket.objects.filter(Prefix="dvc/runs/")}
    assert folders >= {"dvc/runs/staging/r1", "dvc/runs/prod/r1"}


def test_earlier_runs_do_not_add_requests(
    toy: Any, bucket: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def requests(run_id: str) -> int:
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="werkzeug"):
            toy.run("ingest", "features@x", run_id=run_id)
        return sum("HTTP/1.1" in record.getMessage() for record in caplog.records)

    requests("first")
    toy.change('"rows": 3', '"rows": 4')
    before = requests("second")
    for number in range(50):
        for lock in list(bucket.objects.filter(Prefix="dvc/runs/second/")):
            bucket.put_object(Key=lock.key.replace("second", f"old{number}"), Body=b"{}")
        for part in range(10):
            bucket.put_object(Key=f"dvc/files/md5/00/{number:015}{part:015}", Body=b"")
    toy.change('"rows": 4', '"rows": 5')
    assert requests("third") == before > 0


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "bucket"])
def test_missing_credentials_and_a_missing_bucket_are_reported_in_one_line(
    toy: Any, bucket: Any, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "bucket":
        monkeypatch.setenv("MLOPS_DVC_REMOTE", "s3://elsewhere/dvc")
    else:
        monkeypatch.delenv(missing)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    problem: type[Exception] = toy.mlops("errors").Problem
    with pytest.raises(problem, match=r"the DVC remote s3://\w+/dvc failed: .*") as caught:
        toy.run("ingest")
    assert "\n" not in str(caught.value)
