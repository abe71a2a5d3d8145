"""Both git hosts have the same CI: the same jobs run the same make targets in the same order."""

import re
from typing import Any

import hosts
from pathspec import GitIgnoreSpec

# Variables whose values differ between the hosts.
OWN = {"CONTAINER_TOOL"}


def test_jobs_run_the_same_targets_in_the_same_order(
    github: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    ours = {
        name: [step["run"] for step in job["steps"] if "run" in step]
        for workflow in github.values()
        for name, job in workflow["jobs"].items()
    }
    theirs = {name: job["script"] for name, job in gitlab.items()}
    assert _targets(ours) == _targets(theirs)
    assert all(_targets(ours).values())
    assert len(ours) == 10


def test_jobs_have_the_same_dependencies(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    ours = {n: j.get("needs", []) for w in github.values() for n, j in w["jobs"].items()}
    ours = {n: [needs] if isinstance(needs, str) else needs for n, needs in ours.items()}
    assert ours == {name: job.get("needs", []) for name, job in gitlab.items()}


def test_jobs_have_the_same_timeouts(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    ours = {n: j["timeout-minutes"] for w in github.values() for n, j in w["jobs"].items()}
    minutes = {"h": 60, "m": 1}
    theirs = {n: int(j["timeout"][:-1]) * minutes[j["timeout"][-1]] for n, j in gitlab.items()}
    assert ours == theirs


# Paths similar to those of a promotion's files, and paths of a team.
CODE = """
uv.lock Makefile .copier-answers.yml .dvc/config stream/dvc.yaml src/a/mlops/cli.py deep/b/c.py
deployed.py d/x de/x dep/x/y depl/x deplo/x deploys/x mine/deploy/envs/x deploy/envs.md deploy/e/x
deploy/en/x deploy/env/x/y deploy/envs2/x deploy/argocd/access.yaml deploy/chart/templates/a/b.yaml
"""


def test_new_code_is_built_but_a_promotion_is_not(
    github: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    ignored = GitIgnoreSpec.from_lines(f"/{x}" for x in github["ci"]["on"]["push"]["paths-ignore"])
    for job in ("images", "staging"):
        [rule] = gitlab[job]["rules"]
        assert rule["if"] == '$CI_PIPELINE_SOURCE == "push"'
        for env in ("staging", "prod"):
            for file in ("release.yaml", "values.yaml", "more/.patch.yaml"):
                assert ignored.match_file(f"deploy/envs/{env}/{file}")
                assert not hosts.changed(rule["changes"], f"deploy/envs/{env}/{file}")
        for file in CODE.split():
            assert not ignored.match_file(file)
            assert hosts.changed(rule["changes"], file), file


def test_releases_to_an_environment_run_one_at_a_time(
    github: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    ours = {"staging": github["ci"]["jobs"]["staging"]["concurrency"]}
    ours |= dict.fromkeys(github["promote"]["jobs"], github["promote"]["concurrency"])
    assert ours == {name: gitlab[name]["resource_group"] for name in ours}
    assert ours["staging"] != ours["promote"]


def test_gitlab_schedules_need_no_variables_of_their_own(gitlab: dict[str, Any]) -> None:
    [rule] = gitlab["update"]["rules"]
    assert set(re.findall(r"\$(\w+)", rule["if"])) == {"CI_PIPELINE_SOURCE", "UPDATE_TOKEN"}


def test_code_from_a_pull_request_gets_no_write_token(github: dict[str, Any]) -> None:
    jobs = github["ci"]["jobs"]
    assert "pull_request_target" not in str(github)
    assert "workflow_run" not in str(github)
    assert all(github[name]["permissions"] == {} for name in ("ci", "promote"))
    writes = {name for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert writes == {"comment", "images", "staging"}
    assert jobs["images"]["if"] == "github.event_name == 'push'"
    assert jobs["staging"]["needs"] == "images"
    comment = jobs["comment"]
    assert comment["if"].endswith("head.repo.full_name == github.repository")
    # The job runs code of the base branch; only the measured numbers are from the change.
    assert comment["steps"][0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert not any("cache" in step.get("uses", "") for step in jobs["images"]["steps"])


def test_the_update_token_is_the_only_long_lived_secret(
    github: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    assert set(re.findall(r"secrets\.(\w+)", str(github))) == {"UPDATE_TOKEN"}
    ours = {"CI_REGISTRY_PASSWORD", "CI_JOB_TOKEN", "UPDATE_TOKEN", "SIGSTORE_ID_TOKEN"}
    assert set(re.findall(r"\w+_(?:TOKEN|PASSWORD|KEY)\b", str(gitlab))) <= ours


def _targets(scripts: dict[str, list[str]]) -> dict[str, Any]:
    return {
        name: [
            (target, {k: None if "$" in v else v for k, v in variables.items() if k not in OWN})
            for target, variables in hosts.targets("\n".join(script))
        ]
        for name, script in scripts.items()
    }
