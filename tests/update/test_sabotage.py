"""The update checks can fail: each detects a release that breaks the rule it checks."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from checks import conflicts, lost, schema, wrong
from releases import HERE, Repos, commit, file_owners, follow, recorded, start, tree, update

ROOT = Path(__file__).parents[2]
SCENARIO = "airflow-classification"
LINE = "# the team's line\n"

Sabotage = Callable[[Callable[[Path], None]], Repos]


@pytest.fixture
def sabotaged(template: Path, tmp_path: Path) -> Sabotage:
    """Return the repos of a template whose next release has a change."""
    return lambda change: Repos(follow(template, tmp_path / "clone", change), tmp_path)


def test_a_removed_ownership_rule_is_detected(sabotaged: Sabotage, tmp_path: Path) -> None:
    def change(clone: Path) -> None:
        _replace(clone / "copier.yml", r"(?m)^    /feature_repo/\n", "")
        _replace(clone / "template/feature_repo/definitions.py.jinja", r"\Z", "# new\n")

    repos = sabotaged(change)
    complaints = _update(repos, tmp_path / "repo", "feature_repo/definitions.py")
    assert any("feature_repo/definitions.py (yours)" in complaint for complaint in complaints)


def test_a_platform_file_renamed_without_a_migration_is_detected(
    sabotaged: Sabotage, tmp_path: Path
) -> None:
    def change(clone: Path) -> None:
        (clone / "template/docker/Dockerfile").rename(clone / "template/docker/Containerfile")

    complaints = _update(sabotaged(change), tmp_path / "repo", "docker/Dockerfile")
    assert f"docker/Dockerfile: lost {LINE.strip().encode()!r}" in complaints


@pytest.mark.parametrize("reads", [False, True])
def test_a_renamed_question_is_detected(sabotaged: Sabotage, tmp_path: Path, reads: bool) -> None:
    """The answer is lost, unless the new question's default reads it."""

    def change(clone: Path) -> None:
        for name in ("copier.yml", "template/.dvc/config.jinja", "template/README.md.jinja"):
            _replace(clone / name, r"\bdvc_remote_url\b", "remote_url")
        if reads:
            default = "\"{{ dvc_remote_url | default('../.dvc-remote') }}\""
            _replace(clone / "copier.yml", r"(?<=default: )\.\./\.dvc-remote", default)

    repos = sabotaged(change)
    repo = start(repos.clone, HERE, {"dvc_remote_url": "s3://bucket/x"}, tmp_path / "repo")
    update(repo)
    kept = recorded(repo)["remote_url"]
    assert kept == ("s3://bucket/x" if reads else "../.dvc-remote")
    old, new = (yaml.safe_load((x / "copier.yml").read_text()) for x in (ROOT, repos.clone))
    complaint = "the question dvc_remote_url is gone, and no default reads its answer"
    assert schema(old, new) == ([] if reads else [complaint])


def test_a_removed_choice_is_detected() -> None:
    old = {"engine": {"choices": {"Airflow": "airflow", "Argo": "argo"}, "default": "argo"}}
    new = {"engine": {"choices": ["argo"], "default": "argo"}}
    assert schema(old, old) == []
    assert schema(old, new) == ["engine no longer has the choice airflow"]


def test_an_update_that_loses_an_edit_is_detected(repos: Repos) -> None:
    """Lost lines, deletions and modes, as after `copier recopy --overwrite`."""
    base = dict(tree(repos.base(HERE, SCENARIO)))
    owners = file_owners(repos.base(HERE, SCENARIO), base)
    changed = {
        "Makefile": (False, base["Makefile"][1] + LINE.encode()),
        "dvc.yaml": (True, base["dvc.yaml"][1]),
    }
    team = {x: y for x, y in (base | changed).items() if x != "CODEOWNERS"}
    assert lost(base, team, base) == [f"Makefile: lost {LINE.strip().encode()!r}"]
    complaints = wrong(base, team, base, base, owners)
    assert [line.split()[0] for line in complaints] == ["CODEOWNERS", "Makefile", "dvc.yaml"]
    assert lost(base, team, team) + wrong(base, team, base, team, owners) == []


def test_a_conflict_in_an_unedited_file_is_detected(repos: Repos) -> None:
    base = dict(tree(repos.base(HERE, SCENARIO)))
    owners = file_owners(repos.base(HERE, SCENARIO), base)
    marked = base | {"Makefile": (False, b"<<<<<<< before updating\n" + base["Makefile"][1])}
    assert conflicts(marked) == {"Makefile"}
    assert len(wrong(base, base, base, marked, owners)) == 1


def _update(repos: Repos, repo: Path, edited: str) -> list[str]:
    """Update a repo with the team's line in a file and return the complaints."""
    repos.copy(HERE, SCENARIO, repo)
    with (repo / edited).open("a") as file:
        file.write(LINE)
    commit(repo)
    base, before = tree(repos.base(HERE, SCENARIO)), tree(repo)
    update(repo)
    fresh, after = tree(repos.fresh(HERE, SCENARIO)), tree(repo)
    owners = file_owners(repos.fresh(HERE, SCENARIO), {*base, *before, *fresh, *after})
    return lost(base, before, after) + wrong(base, before, fresh, after, owners)


def _replace(path: Path, old: str, new: str) -> None:
    text, count = re.subn(old, new, path.read_text())
    assert count, f"{path} has no {old}"
    path.write_text(text)
