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


def test_a_promotion_builds_nothing_and_new_code_does(
    github: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    ignored = GitIgnoreSpec.from_lines(github["ci"]["on"]["push"]["paths-ignore"])
    for job in ("images", "staging"):
        rule = gitlab[job]["rules"]
        assert [each["if"] for each in rule] == ['$CI_PIPELINE_SOURCE == "push"']
        built = GitIgnoreSpec.from_lines(f"/{each}" for each in _braces(rule[0]["changes"]))
        for env in ("staging", "prod"):
            for file in ("release.yaml", "values.yaml"):
                assert ignored.match_file(f"deploy/envs/{env}/{file}")
                assert not built.match_file(f"deploy/envs/{env}/{file}")
        for file in ("uv.lock", "params.yaml", "src/a/mlops/cli.py", "docker/Dockerfile"):
            assert not ignored.match_file(file)
            assert built.match_file(file)


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


def _braces(patterns: list[str]) -> list[str]:
    """The patterns that GitLab reads where there are braces."""
    found = []
    for pattern in patterns:
        if choice := re.search(r"\{(.+?)\}", pattern):
            found += [pattern.replace(choice[0], each) for each in choice[1].split(",")]
        else:
            found.append(pattern)
    return found
