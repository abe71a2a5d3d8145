"""Each CI job of both git hosts, with its commands run in order as by a runner."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hosts
import pytest
from repos import Repo
from runner import DIGEST, Runner

pytestmark = [pytest.mark.usefixtures("once"), pytest.mark.xdist_group("journeys")]

Git = Callable[..., str]


@pytest.fixture(scope="module", params=["github", "gitlab"])
def runner(
    request: pytest.FixtureRequest,
    trained: Repo,
    scenario: dict[str, Any],
    render: Callable[..., Path],
    need: Callable[[str], str],
    git: Git,
    tmp_path_factory: pytest.TempPathFactory,
) -> Runner:
    """A runner for a server that holds the trained repo and a branch with a change."""
    need("gitleaks")
    folder = tmp_path_factory.mktemp(request.param)
    repo = render({**scenario, "git_host": request.param})
    for name in ("uv.lock", "dvc.lock"):
        shutil.copy(trained.folder / name, repo)
    params = repo / "params.yaml"
    # One month of data is enough to run the jobs.
    text = params.read_text().replace('data: {since: "2013-09-15"', 'data: {since: "2013-10-15"')
    params.write_text(text)
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Start")
    base = git(repo, "rev-parse", "HEAD").strip()
    git(repo, "checkout", "--quiet", "-b", "change")
    params.write_text(text.replace("learning_rate: 0.1", "learning_rate: 0.2"))
    git(repo, "commit", "--quiet", "--all", "--message", "Learn faster")
    git(repo, "checkout", "--quiet", "main")
    server = folder / "late-flights.git"
    git(folder, "clone", "--quiet", "--bare", str(repo), str(server))
    git(server, "config", "receive.advertisePushOptions", "true")

    mlflow = f"sqlite:///{trained.folder}/.mlflow/mlflow.db"
    env = dict(trained.env) | {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": "somebody",
        "GITHUB_REF_NAME": "main",
        "GITHUB_REPOSITORY": "Acme/Late-Flights",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RUN_ID": "12",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_WORKFLOW_REF": "Acme/Late-Flights/.github/workflows/ci.yml@refs/heads/main",
    }
    if request.param == "github":
        expressions = {
            "github.event.pull_request.base.sha": base,
            "github.event.pull_request.number": "7",
            "github.token": "of-the-job",
            "secrets.UPDATE_TOKEN || github.token": "of-the-job",
            "vars.MLFLOW_TRACKING_URI": mlflow,
        }
        return Runner("github", repo, server, folder / "runner", env, expressions, git)
    env = {name: value for name, value in env.items() if not name.startswith("GITHUB_")}
    variables = {
        "CI_COMMIT_REF_NAME": "main",
        "CI_JOB_TOKEN": "of-the-job",
        "CI_JOB_URL": "https://gitlab.com/acme/late-flights/-/jobs/12",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
        "CI_MERGE_REQUEST_IID": "7",
        "CI_PROJECT_URL": f"file://{str(server).removesuffix('.git')}",
        "CI_REGISTRY": "registry.gitlab.com",
        "CI_REGISTRY_IMAGE": "registry.gitlab.com/acme/late-flights",
        "CI_REGISTRY_PASSWORD": "of-the-job",
        "CI_REGISTRY_USER": "job",
        "CI_RUNNER_ID": "3",
        "CI_SERVER_URL": "https://gitlab.com",
        "GITLAB_CI": "true",
        "MLFLOW_TRACKING_URI": mlflow,
    }
    return Runner("gitlab", repo, server, folder / "runner", env, variables, git)


def test_a_change_is_checked(runner: Runner) -> None:
    # Both hosts run the same targets (test_parity.py), and this one takes a minute.
    if runner.host == "github":
        runner.run("lint", "change")
    # test_scenario.py runs all tests.
    one = "tests/platform/training/test_gate.py"
    assert " passed" in runner.run("test", "change", PYTEST_ADDOPTS=one)
    assert "no leaks found" in runner.run("secrets", "change")


def test_the_effect_of_a_change_on_the_metrics_is_posted(runner: Runner, git: Git) -> None:
    runner.run("sample", "change")
    table = next((runner.folder / "artifacts/sample").rglob("sample.md")).read_text()
    row = re.search(r"^\| roc_auc \| (\S+) \| (\S+) \| (\S+) \|$", table, re.MULTILINE)
    assert row
    old, new, change = map(float, row.groups())
    assert old != new
    assert abs(new - old - change) < 0.0002
    assert not git(runner.work, "status", "--porcelain")
    output = runner.run("comment", "change")
    if runner.host == "github":
        comments = "gh api repos/Acme/Late-Flights/issues/7/comments"
        assert f"{comments} --method POST --input -" in runner.calls()
        assert (runner.folder.parent / "summary").read_text() == table
    else:
        assert "COMMENT_TOKEN is not set" in output


def test_nothing_is_posted_if_the_base_lacks_the_comment_script(
    runner: Runner, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first update adds the jobs, but on GitHub a job with a token runs the base's code."""
    main = git(runner.server, "rev-parse", "main").strip()
    clone = runner.folder / "earlier"
    git(runner.folder, "clone", "--quiet", str(runner.server), str(clone))
    git(clone, "rm", "--quiet", *git(clone, "ls-files", "src/*/comment.py", "make/ci.mk").split())
    git(clone, "commit", "--quiet", "--message", "As it was before")
    git(clone, "push", "--quiet", "origin", "HEAD:earlier")
    variables = {
        key: value.replace(main, "earlier") for key, value in runner.host_variables.items()
    }
    monkeypatch.setattr(runner, "host_variables", variables)
    before = runner.calls()
    runner.run("comment", "change")
    assert runner.calls() == before


def test_a_merged_change_is_built_promoted_and_rolled_back(runner: Runner, git: Git) -> None:
    runner.run("images")
    prefix = {"github": "ghcr.io/acme/late-flights"}.get(runner.host) or runner.host_variables[
        "CI_REGISTRY_IMAGE"
    ]
    calls = runner.calls()
    for target in ("pipeline", "serve", "dashboard", "notebook"):
        image = f"{prefix}/{target}@{DIGEST}"
        own = [line for line in calls if line.endswith(image) or f"registry:{image} " in line]
        kinds = [re.search(r"--type (\S+)", line) for line in own]
        assert [line.split()[:2] for line in own][:2] == [["syft", "scan"], ["cosign", "sign"]]
        assert [kind[1] for kind in kinds if kind] == ["spdxjson", "slsaprovenance1"]
    origin = json.loads((runner.folder / "calls.provenance").read_text())["buildDefinition"]
    assert origin["externalParameters"]["target"] == "serve"
    commit = git(runner.server, "rev-parse", "main").strip()
    assert origin["resolvedDependencies"][0]["digest"] == {"gitCommit": commit}
    # The password is passed on standard input: other users can read a process's arguments.
    assert (runner.folder / "calls.input").read_text() == "of-the-job\n"
    assert not [line for line in calls if "of-the-job" in line]

    runner.run("staging")
    staging = _merged(runner, git, "staging")
    assert f"{prefix}/serve" in staging
    assert DIGEST in staging
    runner.run("promote")
    first = _merged(runner, git, "prod")
    assert DIGEST in first

    # A rollback of a release made by hand restores the first one.
    clone = runner.folder / "person"
    git(runner.folder, "clone", "--quiet", str(runner.server), str(clone))
    file = clone / "deploy/envs/prod/release.yaml"
    file.write_text(first.replace(DIGEST, "sha256:" + "cd" * 32))
    git(clone, "commit", "--quiet", "--all", "--message", "Release")
    git(clone, "push", "--quiet")
    runner.run("rollback")
    assert _merged(runner, git, "prod") == first


def test_the_update_job_runs(runner: Runner) -> None:
    assert runner.run("update")


def test_every_job_was_run(runner: Runner) -> None:
    if runner.host == "gitlab":
        assert {*runner.done, "lint"} == set(hosts.pipeline(runner.repo))
    else:
        workflows = hosts.workflows(runner.repo).values()
        assert set(runner.done) == {name for each in workflows for name in each["jobs"]}


def _merged(runner: Runner, git: Git, env: str) -> str:
    """Merge the proposed release of an environment and return its release file."""
    branch = f"release-{env}"
    changed = git(runner.server, "diff", "--name-only", "main", branch).split()
    assert changed == [f"deploy/envs/{env}/release.yaml"]
    git(runner.server, "update-ref", "refs/heads/main", f"refs/heads/{branch}")
    git(runner.server, "branch", "--delete", "--force", branch)
    return git(runner.server, "show", f"main:deploy/envs/{env}/release.yaml")
