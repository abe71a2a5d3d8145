"""Argo CD in the cluster follows a generated repo and runs the commits, nothing else."""

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube import command, image_values

pytestmark = pytest.mark.xdist_group("cluster")

Values = dict[str, Any]

ENVIRONMENTS = ("staging", "prod")
SECONDS = 300
"""Timeout for a commit to be running; on an idle machine, it takes a few seconds."""

SMALL = {
    "replicas": 1,
    "maxReplicas": 1,
    "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}},
}
"""Values of a service small enough to fit twice on a node with two cores."""

ROW = {"origin": "JFK", "dest": "SFO", "carrier": "B6", "distance": 2586, "hour": 17, "weekday": 4}

STRAY = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}-stray}}
rules: []
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: stray, namespace: default}}
---
apiVersion: v1
kind: Secret
metadata: {{name: stray}}
"""


@dataclass(frozen=True)
class Followed:
    """A generated repo that Argo CD follows."""

    name: str
    repo: Path
    git: Callable[..., str]

    def commit(self, files: Values) -> None:
        """Write the contents of some files and commit them; None deletes a file."""
        for path, content in files.items():
            file = self.repo / path
            if content is None:
                file.unlink()
            else:
                file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        self.git(self.repo, "add", "--all")
        self.git(self.repo, "commit", "--quiet", "--message", f"Change {', '.join(files)}")

    def kubectl(self, env: str, *words: str, stdin: str | None = None) -> Any:
        """Run kubectl in an environment's namespace and return its parsed JSON output."""
        namespace = f"{self.name}-{env}"
        return json.loads(command("kubectl", "-n", namespace, *words, "-o", "json", stdin=stdin))

    def application(self, env: str) -> Values:
        """Refresh the Application of an environment and return its status."""
        name = f"applications/{self.name}-{env}"
        refresh = "argocd.argoproj.io/refresh=normal"
        words = ["-n", "argocd", "annotate", "--overwrite", name, refresh, "-o", "json"]
        status: Values = json.loads(command("kubectl", *words)).get("status", {})
        return status

    def until(self, env: str, reached: Callable[[Values], bool]) -> Values:
        """Wait until an Application's status fulfills a condition, and return the status."""
        status: Values = {}
        for _ in range(SECONDS):
            status = self.application(env)
            if reached(status):
                return status
            time.sleep(1)
        pods = command("kubectl", "-n", f"{self.name}-{env}", "describe", "pods")
        pytest.fail(f"{env} did not reach its state: {json.dumps(status, indent=1)}\n{pods}")

    def settled(self, env: str) -> Values:
        """Wait until the latest commit is synced and healthy, and return the status."""
        head = self.git(self.repo, "rev-parse", "HEAD").strip()

        def reached(status: Values) -> bool:
            sync, health = status.get("sync", {}), status.get("health", {})
            state = sync.get("status"), sync.get("revision"), health.get("status")
            return state == ("Synced", head, "Healthy") and not _running(status)

        return self.until(env, reached)


def _running(status: Values) -> bool:
    return bool(status.get("operationState", {}).get("phase") == "Running")


@pytest.fixture(scope="module")
def argo_cd(cluster: str) -> str:
    """Address at which Argo CD reaches this machine; without Argo CD, the test is skipped."""
    kinds = ["kubectl", "get", "crd/applicationsets.argoproj.io", "--request-timeout=10s"]
    done = subprocess.run(kinds, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no Argo CD in the cluster: {done.stderr.strip()}")
    return cluster


@pytest.fixture(scope="module")
def served(argo_cd: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with repos served by a git daemon, and the folder's URL."""
    folder = tmp_path_factory.mktemp("served")
    with socket.create_server((argo_cd, 0)) as free:
        port = free.getsockname()[1]
    options = [f"--listen={argo_cd}", f"--port={port}", f"--base-path={folder}"]
    daemon = ["git", "daemon", "--export-all", "--reuseaddr", *options, str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(daemon, stdout=log, stderr=log, start_new_session=True)
        yield folder, f"git://{argo_cd}:{port}"
        os.killpg(process.pid, 15)
        process.wait()


@pytest.fixture(scope="module")
def followed(
    served: tuple[Path, str],
    render: Callable[..., Path],
    scenarios: dict[str, Any],
    git: Callable[..., str],
) -> Iterator[Followed]:
    """A repo without a release yet, with its Argo CD objects applied."""
    folder, url = served
    name = f"mlops-tests-{uuid.uuid4().hex[:8]}"
    answers = {"project_slug": name, "repo_url": f"{url}/{name}"}
    repo = render({**scenarios["argo-classification"], **answers}).rename(folder / name)
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Start")
    command("kubectl", "apply", "-n", "argocd", "-f", "deploy/argocd/", folder=repo)
    for env in ENVIRONMENTS:  # kubectl does not wait for several names at once
        created = ["kubectl", "wait", "-n", "argocd", "--for=create", "--timeout=300s"]
        command(*created, f"applications/{name}-{env}")
    yield Followed(name, repo, git)
    delete = ["kubectl", "delete", "-n", "argocd", "--wait=false"]
    command(*delete, "-f", "deploy/argocd/", folder=repo)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_without_a_release_an_environment_is_healthy_and_serves_nothing(
    followed: Followed, env: str
) -> None:
    status = followed.settled(env)
    assert "conditions" not in status
    assert followed.kubectl(env, "get", "deployments,pods,workflowtemplates")["items"] == []
    assert followed.kubectl(env, "get", "serviceaccounts")["items"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_manual_changes_are_reverted(followed: Followed, env: str) -> None:
    followed.settled(env)
    role = f"role/{followed.name}-pipeline"
    before = followed.kubectl(env, "get", role)["rules"]
    everything = {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    followed.kubectl(env, "patch", role, "--type=merge", "-p", json.dumps(everything))
    followed.until(env, lambda _: followed.kubectl(env, "get", role)["rules"] == before)


def test_objects_that_the_project_does_not_allow_are_refused(followed: Followed) -> None:
    """A commit that removes them is synced without waiting for the retries to end."""
    stray = "deploy/chart/templates/stray.yaml"
    followed.commit({stray: STRAY.format(name=followed.name)})

    def refused(status: Values) -> bool:
        return "is not permitted in project" in status.get("operationState", {}).get("message", "")

    for env in ENVIRONMENTS:
        message = followed.until(env, refused)["operationState"]["message"]
        assert "ClusterRole is not permitted" in message
        assert ":Secret is not permitted" in message
        assert "namespace default is not permitted" in message
    kinds = ["kubectl", "get", "clusterrole", "--ignore-not-found", f"{followed.name}-stray"]
    assert command(*kinds) == ""
    assert command("kubectl", "get", "serviceaccount", "--ignore-not-found", "stray") == ""
    followed.commit({stray: None})
    for env in ENVIRONMENTS:
        followed.settled(env)


@pytest.fixture
def mlops(followed: Followed, laptop: Path, mlflow: str) -> Callable[..., None]:
    """Run a release command in the repo and merge the branch that it creates."""

    def run(env: str, name: str, *words: str) -> None:
        tool = ["env", f"MLFLOW_TRACKING_URI={mlflow}", str(laptop / ".venv/bin/mlops")]
        command(*tool, name, *words, folder=followed.repo)
        followed.git(followed.repo, "merge", "--quiet", f"release-{env}")

    return run


def test_a_release_adds_a_stage_and_its_rollback_removes_it(
    followed: Followed, mlops: Callable[..., None], tmp_path: Path
) -> None:
    """Changes that are merged, but not released, affect no workflow."""
    followed.commit({f"deploy/envs/{env}/values.yaml": {"suspend": True} for env in ENVIRONMENTS})
    images, graph = tmp_path / "images.json", "orchestration/pipelines.json"

    def promote(digit: str) -> None:
        images.write_text(json.dumps({"pipeline": f"localhost/pipeline@sha256:{digit * 64}"}))
        mlops("staging", "promote", "--to", "staging", "--images", str(images))

    def workflow(env: str) -> tuple[set[str], str]:
        followed.settled(env)
        template = followed.kubectl(env, "get", f"workflowtemplate/{followed.name}-training")
        stages = [each for each in template["spec"]["templates"] if "container" in each]
        [image] = {each["container"]["image"] for each in stages}
        return {each["name"] for each in stages}, image[-1]

    pipelines = json.loads((followed.repo / graph).read_text())
    stages = pipelines["pipelines"]["training"]["stages"]
    before = {stage["id"] for stage in stages}
    promote("1")
    mlops("prod", "promote", "--from", "staging", "--to", "prod")
    assert workflow("staging") == workflow("prod") == (before, "1")
    stages.append(stages[-1] | {"id": "later", "stage": "later", "needs": ["register"]})
    followed.commit({graph: json.dumps(pipelines, indent=2) + "\n"})
    assert workflow("staging") == workflow("prod") == (before, "1")
    promote("2")
    assert workflow("staging") == ({*before, "later"}, "2")
    assert workflow("prod") == (before, "1")
    mlops("prod", "promote", "--from", "staging", "--to", "prod")
    assert workflow("prod") == ({*before, "later"}, "2")
    mlops("prod", "rollback", "--env", "prod")
    assert workflow("prod") == (before, "1")


@pytest.fixture(scope="module")
def versions(
    laptop: Path, mlflow: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Values, Values]:
    """Two registered versions of a model, as release values; the second has fewer rounds."""
    repo = tmp_path_factory.mktemp("versions") / "repo"
    shutil.copytree(laptop, repo, symlinks=True, ignore=shutil.ignore_patterns(".venv"))
    path = f"PATH={laptop}/.venv/bin:{os.environ['PATH']}"
    stage = [
        "env",
        path,
        f"MLFLOW_TRACKING_URI={mlflow}",
        "dvc",
        "repro",
        "--single-item",
        "--force",
    ]

    def register() -> Values:
        command(*stage, "register", folder=repo)
        registered = json.loads((repo / "reports/registered.json").read_text())
        return {"version": str(registered["version"]), "digest": registered["model_digest"]}

    first = register()
    params = repo / "params.yaml"
    assert "rounds: 600" in params.read_text()
    params.write_text(params.read_text().replace("rounds: 600", "rounds: 30"))
    command(*stage, "train", folder=repo)
    second = register()
    assert first["version"] != second["version"]
    return first, second


def answers(followed: Followed, env: str) -> Values:
    """Return the version and digest of the model that serves an environment."""
    service = f"services/{followed.name}-serve:http"
    path = f"/api/v1/namespaces/{followed.name}-{env}/{service}/proxy/v1/predict"
    body = json.dumps({"rows": [ROW]})
    reply: Values = json.loads(command("kubectl", "create", "--raw", path, "-f", "-", stdin=body))
    return {key: reply["model"][key] for key in ("version", "digest")}


@pytest.fixture(scope="module")
def promoted(
    followed: Followed,
    mlflow: str,
    loaded: Callable[[str], str],
    versions: tuple[Values, Values],
) -> Followed:
    """The repo with the first version in both environments."""
    for env in ENVIRONMENTS:
        values = {"env": {"MLFLOW_TRACKING_URI": mlflow}, "serving": SMALL}
        followed.commit({f"deploy/envs/{env}/values.yaml": values})
        followed.settled(env)
        release = {"serving": image_values(loaded("serve")) | {"model": versions[0]}}
        followed.commit({f"deploy/envs/{env}/release.yaml": release})
    return followed


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_commit_promotes_a_version(
    promoted: Followed, versions: tuple[Values, Values], env: str
) -> None:
    promoted.settled(env)
    assert answers(promoted, env) == versions[0]


def test_reverting_a_commit_rolls_a_version_back(
    promoted: Followed, versions: tuple[Values, Values]
) -> None:
    file = "deploy/envs/prod/release.yaml"
    release = yaml.safe_load((promoted.repo / file).read_text())
    release["serving"]["model"] = versions[1]
    promoted.commit({file: release})
    promoted.settled("prod")
    assert answers(promoted, "prod") == versions[1]
    assert answers(promoted, "staging") == versions[0]
    promoted.git(promoted.repo, "revert", "--no-edit", "HEAD")
    promoted.settled("prod")
    assert answers(promoted, "prod") == versions[0]


def test_a_release_that_cannot_start_replaces_nothing_and_can_be_rolled_back(
    promoted: Followed, versions: tuple[Values, Values]
) -> None:
    """A sync must not wait for the release to become healthy: the rollback would wait as well."""
    file = "deploy/envs/prod/release.yaml"
    release = yaml.safe_load((promoted.repo / file).read_text())
    release["serving"]["model"] = versions[1] | {"digest": "0" * 64}
    promoted.commit({file: release})

    def unhealthy(status: Values) -> bool:
        return bool(status.get("health", {}).get("status") in ("Progressing", "Degraded"))

    promoted.until("prod", unhealthy)
    assert answers(promoted, "prod") == versions[0]
    promoted.git(promoted.repo, "revert", "--no-edit", "HEAD")
    promoted.settled("prod")
    assert answers(promoted, "prod") == versions[0]
