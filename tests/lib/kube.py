"""Helpers of the cluster tests: run commands, install the chart, query the store."""

import json
import os
import shlex
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Values = dict[str, Any]

RELEASE = "late-flights"
TARGETS = ("dashboard", "notebook", "pipeline", "serve")
SECRET = "hunter2-of-the-index"
"""A password in the URL of the checkout's remote and in a build argument."""
SECONDS = 600
"""Timeout of a workflow, shorter than a test's, since its error shows the state of the pods."""


def command(*words: str, folder: Path | None = None, stdin: str | None = None) -> str:
    """Run a command and return its output; fail with all of its output."""
    done = subprocess.run(
        words, cwd=folder, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def nobodys(image: str, commit: str) -> str:
    """Check that an image runs as user 65532 and is labeled with a commit; return its metadata."""
    text = command("buildah", "inspect", "--type", "image", image)
    config = json.loads(text)["OCIv1"]["config"]
    assert config["User"] == "65532:65532"
    assert config["Labels"].items() >= {
        ("org.opencontainers.image.revision", commit),
        ("org.opencontainers.image.version", "0.1.0"),
    }
    return text


def load(image: str) -> None:
    """Load an image into the cluster."""
    command(*shlex.split(os.environ["CLUSTER_LOAD_IMAGE"]), image)


def image_values(name: str) -> Values:
    """Return the chart's `image` values for an image's name with its tag."""
    repository, tag = name.rsplit(":", 1)
    return {"image": {"repository": repository, "tag": tag}}


@dataclass(frozen=True)
class Namespace:
    """A namespace for the chart that enforces the restricted Pod Security Standard."""

    name: str
    folder: Path

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return command("kubectl", "-n", self.name, *words, stdin=stdin)

    def install(self, chart: Path, *values: Values) -> None:
        """Install the chart with some values, or upgrade it."""
        words = ["helm", "upgrade", "--install", "-n", self.name, RELEASE, str(chart)]
        for number, each in enumerate(values):
            file = self.folder / f"values-{number}.json"
            file.write_text(json.dumps(each))
            words += ["--values", str(file)]
        command(*words)

    def run(self, pipeline: str, *options: str) -> Values:
        """Submit a pipeline's workflow, wait for its end and return it."""
        template = f"workflowtemplate/{RELEASE}-{pipeline}"
        submit = ["argo", "-n", self.name, "submit", "--from", template, "-o", "name", *options]
        name = command(*submit).strip()
        wait = ["argo", "-n", self.name, "wait", name]
        try:
            subprocess.run(wait, capture_output=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            state = self.kubectl("get", "pods,events", "--sort-by", ".metadata.creationTimestamp")
            raise AssertionError(f"{name} did not end within {SECONDS} s:\n{state}") from None
        workflow: Values = json.loads(self.kubectl("get", "workflow", name, "-o", "json"))
        return workflow

    def log(self, workflow: Values) -> str:
        name = workflow["metadata"]["name"]
        return command("argo", "-n", self.name, "logs", name, "--no-color")


def signed(url: str, method: str = "GET") -> urllib.request.Request:
    """Return a request with a well-formed signature; the store does not verify signatures."""
    scope = "test/20260101/us-east-1/s3/aws4_request"
    value = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    return urllib.request.Request(url, method=method, headers={"Authorization": value})


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server responds; fail with its log if it does not."""
    for _ in range(120):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{url} does not respond: {log.read_text()}")


def digests(lock: str) -> dict[str, str]:
    """Return the digests of the outs in the text of a dvc.lock, by path."""
    stages = yaml.safe_load(lock)["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
