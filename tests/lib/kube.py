"""What the cluster tests do again and again: run a command, fill a namespace, ask a store."""

import json
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
SECONDS = 600
"""How long a workflow may take: less than a test may, which says less of what it waits for."""


def command(*words: str, folder: Path | None = None, stdin: str | None = None) -> str:
    """Run a command; give what it prints, and fail with what it says."""
    done = subprocess.run(
        words, cwd=folder, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def nobodys(image: str, commit: str) -> str:
    """What buildah says of an image, which is nobody's and of this commit."""
    text = command("buildah", "inspect", "--type", "image", image)
    config = json.loads(text)["OCIv1"]["config"]
    assert config["User"] == "65532:65532"
    assert config["Labels"].items() >= {
        ("org.opencontainers.image.revision", commit),
        ("org.opencontainers.image.version", "0.1.0"),
    }
    return text


@dataclass(frozen=True)
class Namespace:
    """A namespace that enforces the restricted Pod Security Standard, with the chart in it."""

    name: str
    folder: Path

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return command("kubectl", "-n", self.name, *words, stdin=stdin)

    def install(self, chart: Path, *values: Values) -> None:
        """Install the chart with these values, or upgrade it to them."""
        words = ["helm", "upgrade", "--install", "-n", self.name, RELEASE, str(chart)]
        for number, each in enumerate(values):
            file = self.folder / f"values-{number}.json"
            file.write_text(json.dumps(each))
            words += ["--values", str(file)]
        command(*words)

    def run(self, pipeline: str, *options: str) -> Values:
        """Submit a pipeline's workflow, wait for its end, give it."""
        template = f"workflowtemplate/{RELEASE}-{pipeline}"
        submit = ["argo", "-n", self.name, "submit", "--from", template, "-o", "name", *options]
        name = command(*submit).strip()
        until = ["argo", "-n", self.name, "wait", name]
        try:
            subprocess.run(until, capture_output=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            seen = self.kubectl("get", "pods,events", "--sort-by", ".metadata.creationTimestamp")
            raise AssertionError(f"{name} has not ended in {SECONDS} s:\n{seen}") from None
        workflow: Values = json.loads(self.kubectl("get", "workflow", name, "-o", "json"))
        return workflow

    def log(self, workflow: Values) -> str:
        name = workflow["metadata"]["name"]
        return command("argo", "-n", self.name, "logs", name, "--no-color")


def signed(url: str, method: str = "GET") -> urllib.request.Request:
    """A request with a signature of the right form, which is all that the store looks at."""
    scope = "test/20260101/us-east-1/s3/aws4_request"
    value = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    return urllib.request.Request(url, method=method, headers={"Authorization": value})


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; fail with its log where it does not."""
    for _ in range(120):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"{url} does not answer: {log.read_text()}")


def digests(lock: str) -> dict[str, str]:
    """The digest of each out in a text of dvc.lock."""
    stages = yaml.safe_load(lock)["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
