"""A model's way to production and back, with a git server and an MLflow server."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
from repos import Done, Repo

pytestmark = [pytest.mark.usefixtures("once"), pytest.mark.xdist_group("journeys")]

Git = Callable[..., str]

SECONDS = 120
IMAGES = {
    name: f"registry.example.com/team/late-flights/{name}@sha256:{digit * 64}"
    for name, digit in (("pipeline", "1"), ("serve", "2"))
}
# A stand-in for gh: logs its calls, and fails or kills its parent on demand.
GH = """#!/bin/sh
printf '%s\\n' "$*" >> {folder}/calls
[ "$1 $2" != "$GH_FAILS" ] || {{ echo "not allowed" >&2; exit 1; }}
[ "$1 $2" != "$GH_KILLS" ] || kill -KILL "$PPID"
"""
# A version created by hand with the tags of a run whose gate failed.
BY_HAND = """
from mlflow import MlflowClient
client = MlflowClient()
failed = client.search_runs(["1"], "tags.gate = 'failed'")[0].data.tags
tags = {name: failed[name] for name in ("gate", "model_digest")}
source = client.get_model_version("late-flights", "1").source
model = source.removeprefix("models:/")
client.create_model_version("late-flights", source, tags=tags, model_id=model)
"""
WITHDRAWN = """
from mlflow import MlflowClient
MlflowClient().set_model_version_tag("late-flights", "3", "gate", "failed")
"""


@dataclass(frozen=True)
class Host:
    """A team's repo and its git server."""

    repo: Repo
    server: Path
    git: Git

    def run(self, *command: str, **env: str) -> Done:
        """Run a command, which must succeed without changing the checkout."""
        before = self.here()
        done = self.repo.run(*command, **env)
        assert done.code == 0
        assert self.here() == before
        return done

    def assert_refused(self, message: str, *command: str, **env: str) -> None:
        """Run a command, which must fail with a message and change nothing."""
        before = self.everything()
        done = self.repo.run(*command, **env)
        assert done.code not in (0, -signal.SIGKILL)
        assert re.search(message, done.output)
        assert "Traceback" not in done.output
        assert self.everything() == before

    def here(self) -> tuple[str, ...]:
        """Return the state of the checkout."""
        queries = (
            "status --porcelain",
            "for-each-ref refs/heads",
            "symbolic-ref HEAD",
            "diff HEAD",
        )
        return tuple(self.git(self.repo.folder, *line.split()) for line in queries)

    def everything(self) -> tuple[str, ...]:
        """Return the state of the checkout and the branches of the server."""
        return *self.here(), self.git(self.server, "for-each-ref")

    def merge(self, env: str) -> None:
        """Merge the request with a merge commit and delete its branch, as a host does."""
        self.git(self.server, "worktree", "add", "--quiet", "merging", "main")
        worktree = self.server / "merging"
        self.git(worktree, "merge", "--quiet", "--no-ff", "-m", "Merge", f"release-{env}")
        self.git(self.server, "worktree", "remove", "merging")
        self.git(self.server, "branch", "--quiet", "-D", f"release-{env}")

    def release_file(self, env: str) -> str:
        """Return the release file on the server's main branch."""
        return self.git(self.server, "show", f"main:deploy/envs/{env}/release.yaml")


@pytest.fixture
def host(variant: Callable[[bool], Repo], git: Git, tmp_path: Path) -> Host:
    """The trained repo on a branch with uncommitted work, and its server."""
    repo = variant(True)
    git(repo.folder, "branch", "--move", "--force", "main")
    git(repo.folder, "add", "--all")
    git(repo.folder, "commit", "--quiet", "--allow-empty", "--message", "Train")
    server = tmp_path / "server"
    git(tmp_path, "clone", "--quiet", "--bare", str(repo.folder), str(server))
    git(repo.folder, "remote", "add", "origin", str(server))
    git(repo.folder, "checkout", "--quiet", "-b", "work")
    repo.edit("README.md", "# ", "# Our ")
    (repo.folder / "images.json").write_text(json.dumps(IMAGES))
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(GH.format(folder=tmp_path))
    gh.chmod(0o755)
    repo.env["PATH"] = f"{gh.parent}:{repo.env['PATH']}"
    return Host(repo, server, git)


@pytest.fixture
def mlflow(trained: Repo, tmp_path: Path) -> Iterator[str]:
    """URL of an empty MLflow server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    folder = tmp_path / "mlflow"
    folder.mkdir()
    store = ("--backend-store-uri", f"sqlite:///{folder}/mlflow.db")
    place = ("--artifacts-destination", str(folder / "artifacts"), "--workers", "1")
    command = [str(trained.folder / ".venv/bin/mlflow"), "server", *store, *place]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", url.rpartition(":")[2]],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(f"{url}/health", server, folder / "log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def test_a_model_is_released_and_rolled_back(host: Host, mlflow: str) -> None:
    repo = host.repo
    repo.env["MLFLOW_TRACKING_URI"] = mlflow
    # Register the trained model with this server.
    for stage in ("gate", "register"):
        assert repo.run("mlops", stage).code == 0
    host.run("mlops", "promote", "--to", "staging", "--images", "images.json")
    host.merge("staging")
    host.run("mlops", "promote", "--from", "staging", "--to", "prod")
    host.merge("prod")
    first = host.release_file("prod")
    assert 'version: "1"' in first
    assert "serve\n" in first
    assert "timeout: 3600" in first

    # A model that fails its gate is not registered, and a version made by hand is not released.
    repo.edit("params.yaml", "rounds: 600", "rounds: 20")
    assert repo.run("dvc", "repro").code != 0
    host.assert_refused("no version 2 in MLflow; there are: 1$", *_to_staging("2"))
    assert repo.run("python", "-c", BY_HAND).code == 0
    host.assert_refused("version 2 is 'failed', not 'passed'", *_to_staging("2"))
    assert "nothing to do" in host.run("mlops", "promote", "--to", "staging").output

    # A better model is released in the same way.
    repo.edit("params.yaml", "rounds: 20", "rounds: 600")
    repo.edit("params.yaml", "seed: 7", "seed: 8")
    repo.edit("params.yaml", "num_leaves: 31", "num_leaves: 47")
    repo.edit("params.yaml", "{min: -0.002}", "{min: -0.02}")
    host.git(repo.folder, "commit", "--quiet", "--all", "--message", "Another seed, more leaves")
    assert repo.run("dvc", "repro").code == 0
    # Its release includes a changed graph and the images of its commit.
    repo.edit("dvc.yaml", "    meta:\n", "    meta:\n      timeout: 2h\n")
    assert repo.run("mlops", "graph").code == 0
    host.git(repo.folder, "commit", "--quiet", "--all", "--message", "Give it more time")
    host.run("make", "promote", "TO=staging", "IMAGES=images.json")
    host.merge("staging")
    assert "timeout: 7200" not in host.release_file("prod")
    host.run("make", "promote", "FROM=staging", "TO=prod")
    host.merge("prod")
    assert 'version: "3"' in host.release_file("prod")
    assert "timeout: 7200" in host.release_file("prod")
    status = host.run("make", "status").output
    assert re.search(r"^staging +3 +passed .*\nprod +3 +passed ", status, re.MULTILINE)

    host.run("make", "rollback", "ENV=prod")
    host.merge("prod")
    assert host.release_file("prod") == first
    # A version can be withdrawn after its release.
    assert repo.run("python", "-c", WITHDRAWN).code == 0
    forward = ("mlops", "promote", "--from", "staging", "--to", "prod")
    host.assert_refused("version 3 is 'failed', not 'passed'", *forward)


def test_a_failed_release_leaves_nothing_behind(host: Host) -> None:
    host.assert_refused(
        "`gh pr create` failed: not allowed", *_to_staging("1"), GH_FAILS="pr create"
    )
    hook = host.server / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is frozen' >&2\nexit 1\n")
    hook.chmod(0o755)
    host.assert_refused("git push: .*main is frozen", *_to_staging("1"))
    hook.unlink()
    server = host.server.rename(host.server.with_name("away"))
    before = host.here()
    assert host.repo.run(*_to_staging("1")).code == 1
    assert host.here() == before
    server.rename(host.server)

    # A command killed before the push leaves nothing; after it, the branch is used by the next try.
    before = host.everything()
    assert host.repo.run(*_to_staging("1"), GH_KILLS="pr list").code == -signal.SIGKILL
    assert host.everything() == before
    assert host.repo.run(*_to_staging("1"), GH_KILLS="pr create").code == -signal.SIGKILL
    assert host.here() == before[:-1]
    host.run(*_to_staging("1"))
    assert (host.server.parent / "calls").read_text().splitlines()[-1].startswith("pr create")
    host.merge("staging")
    assert 'version: "1"' in host.release_file("staging")


def _to_staging(version: str) -> tuple[str, ...]:
    return "mlops", "promote", "--to", "staging", "--version", version


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urlopen(url).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the MLflow server does not respond: {log.read_text()}")
