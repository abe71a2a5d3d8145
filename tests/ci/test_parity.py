"""Both hosts do the same: the same jobs ask the same of make, in the same order."""

import re
from typing import Any

import hosts
from pathspec import GitIgnoreSpec

# What is the host's own: where a value comes from, and what builds there.
OWN = {"CONTAINER_TOOL"}


def test_the_same_targets_in_the_same_order(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    ours = {
        name: [step["run"] for step in job["steps"] if "run" in step]
        for workflow in github.values()
        for name, job in workflow["jobs"].items()
    }
    theirs = {name: job["script"] for name, job in gitlab.items()}
    assert _asked(ours) == _asked(theirs)
    assert all(_asked(ours).values())
    assert len(ours) == 10


def test_the_same_jobs_wait_for_the_same(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    ours = {n: j.get("needs", []) for w in github.values() for n, j in w["jobs"].items()}
    ours = {n: [needs] if isinstance(needs, str) else needs for n, needs in ours.items()}
    assert ours == {name: job.get("needs", []) for name, job in gitlab.items()}


def test_the_same_time_is_given(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    ours = {n: j["timeout-minutes"] for w in github.values() for n, j in w["jobs"].items()}
    minutes = {"h": 60, "m": 1}
    theirs = {n: int(j["timeout"][:-1]) * minutes[j["timeout"][-1]] for n, j in gitlab.items()}
    assert ours == theirs


# Names that lie close to those of a promotion's files, and a team's own.
CODE = """
uv.lock Makefile .copier-answers.yml .dvc/config stream/dvc.yaml src/a/mlops/cli.py deep/b/c.py
deployed.py d/x de/x dep/x/y depl/x deplo/x deploys/x mine/deploy/envs/x deploy/envs.md deploy/e/x
deploy/en/x deploy/env/x/y deploy/envs2/x deploy/argocd/access.yaml deploy/chart/templates/a/b.yaml
"""


def test_a_promotion_builds_nothing_and_new_code_does(
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


def test_a_release_waits_for_those_to_its_environment(
    github: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    ours = {"staging": github["ci"]["jobs"]["staging"]["concurrency"]}
    ours |= dict.fromkeys(github["promote"]["jobs"], github["promote"]["concurrency"])
    assert ours == {name: gitlab[name]["resource_group"] for name in ours}
    assert ours["staging"] != ours["promote"]


def test_a_schedule_of_gitlabs_needs_no_variable_of_its_own(gitlab: dict[str, Any]) -> None:
    [rule] = gitlab["update"]["rules"]
    assert set(re.findall(r"\$(\w+)", rule["if"])) == {"CI_PIPELINE_SOURCE", "UPDATE_TOKEN"}


def test_what_a_change_may_run_has_no_token_that_writes(github: dict[str, Any]) -> None:
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
    # Of the change it has the numbers; what runs is the base's.
    assert comment["steps"][0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert not any("cache" in step.get("uses", "") for step in jobs["images"]["steps"])


def test_nothing_that_lasts_is_kept_as_a_secret(
    github: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    assert set(re.findall(r"secrets\.(\w+)", str(github))) == {"UPDATE_TOKEN"}
    ours = {"CI_REGISTRY_PASSWORD", "CI_JOB_TOKEN", "UPDATE_TOKEN", "SIGSTORE_ID_TOKEN"}
    assert set(re.findall(r"\w+_(?:TOKEN|PASSWORD|KEY)\b", str(gitlab))) <= ours


def _asked(scripts: dict[str, list[str]]) -> dict[str, Any]:
    return {
        name: [
            (target, {k: None if "$" in v else v for k, v in given.items() if k not in OWN})
            for target, given in hosts.targets("\n".join(script))
        ]
        for name, script in scripts.items()
    }
