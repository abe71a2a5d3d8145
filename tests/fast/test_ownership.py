"""Ownership of files: .gitattributes, CODEOWNERS and the tables agree with copier.yml."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from pathspec import GitIgnoreSpec
from releases import file_owners, git, tree

pytestmark = pytest.mark.usefixtures("offline")

OWNERS = {"team": "@acme/flights", "platform_team": "ml-platform@example.com"}
REVIEWERS = {
    "yours": ["@acme/flights"],
    "platform": ["ml-platform@example.com"],
    "shared": ["@acme/flights", "ml-platform@example.com"],
    "tools": ["@acme/flights"],
}
SHARED = {
    ".copier-answers.yml",
    ".dockerignore",
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
    "batch/dvc.yaml",
    "stream/dvc.yaml",
    "dvc.yaml",
    "pyproject.toml",
}


@pytest.fixture(scope="module")
def owned(scenario: dict[str, str], render: Callable[..., Path]) -> Path:
    """The scenario's repo, with reviewers for each class."""
    repo = render({**scenario, **OWNERS})
    git(repo, "init", "--quiet")
    return repo


def test_every_file_is_in_the_expected_class(owned: Path) -> None:
    names = tree(owned)
    assert file_owners(owned, names) == {name: _expected(name) for name in names}


def test_every_file_is_assigned_to_a_class_explicitly(
    owned: Path, questions: dict[str, Any]
) -> None:
    classes = _ownership(questions, package_name="late_flights")
    spec = GitIgnoreSpec.from_lines(path for its in classes.values() for path in its["paths"])
    assert set(spec.match_files(tree(owned))) == set(tree(owned))


def test_files_added_by_the_team_belong_to_the_team(owned: Path) -> None:
    added = ["src/late_flights/text/words.py", "tests/unit/test_words.py", "docs/index.md", "x"]
    assert file_owners(owned, added) == dict.fromkeys(added, "yours")


def test_codeowners_agrees_with_the_classes(owned: Path) -> None:
    names = tree(owned)
    rules = (owned / "CODEOWNERS").read_text().splitlines()
    classes = file_owners(owned, names)
    assert {x: _reviewers(rules, x) for x in names} == {x: REVIEWERS[classes[x]] for x in names}
    assert _reviewers(rules, "docs/index.md") == REVIEWERS["yours"]
    assert _reviewers(rules, "CODEOWNERS") == [OWNERS["platform_team"]]


def test_without_teams_codeowners_names_nobody(tree: Path) -> None:
    rules = (tree / "CODEOWNERS").read_text().splitlines()
    assert [rule for rule in rules if rule[0] != "#" and len(rule.split()) != 1] == []


def test_generated_files_are_collapsed_in_reviews(owned: Path) -> None:
    names = ["uv.lock", "dvc.lock", "orchestration/pipelines.json", "pyproject.toml"]
    lines = git(owned, "check-attr", "linguist-generated", "--", *names).splitlines()
    assert [line.split()[-1] for line in lines] == ["set", "set", "set", "unspecified"]


def test_an_update_excludes_the_teams_files_and_generated_files(
    root: Path, questions: dict[str, Any]
) -> None:
    classes = _ownership(questions, package_name="late_flights")
    rules = yaml.safe_load((root / "copier.yml").read_text())["_exclude"]
    (rule,) = (rule for rule in rules if "_copier_operation" in rule)
    names = {"package_name": "late_flights"}
    excluded = jinja2.Template(rule).render(_copier_operation="update", **names)
    assert excluded.split() == [*classes["yours"]["paths"], *classes["tools"]["paths"]]
    assert not jinja2.Template(rule).render(_copier_operation="copy", **names).strip()


def test_the_generated_readme_has_the_ownership_table(
    tree: Path, questions: dict[str, Any]
) -> None:
    package = yaml.safe_load((tree / ".copier-answers.yml").read_text())["package_name"]
    readme = (tree / "README.md").read_text()
    assert _table(_ownership(questions, package_name=package)) in readme


def test_the_readme_has_the_ownership_table(root: Path, questions: dict[str, Any]) -> None:
    classes = _ownership(questions, package_name="<package>")
    assert _table(classes) in (root / "README.md").read_text()


def _ownership(questions: Mapping[str, Any], **answers: str) -> dict[str, dict[str, Any]]:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    text = environment.from_string(questions["ownership"]["default"]).render(OWNERS | answers)
    classes: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return classes


def _expected(name: str) -> str:
    match Path(name).parts:
        case _ if name in SHARED:
            return "shared"
        case ("orchestration", "pipelines.json"):
            return "tools"
        case ("src", _, "mlops", *_) | ("tests", "platform", *_):
            return "platform"
        case ("orchestration" | "docker" | "make" | ".github" | ".gitlab", *_) | (
            "deploy",
            "chart" | "argocd",
            *_,
        ):
            return "platform"
        case ("Makefile" | "CODEOWNERS" | ".gitlab-ci.yml" | "renovate.json",):
            return "platform"
        case ("src", _, _) | ("tests", _) | ("README.md" | "params.yaml",):
            return "yours"
        case ("feature_repo" | "notebooks" | "reports", *_) | ("deploy", "envs", *_):
            return "yours"
    raise AssertionError(f"{name} has no class yet: add it here and to `ownership` in copier.yml")


def _reviewers(rules: list[str], name: str) -> list[str]:
    """Return the reviewers of a file: those of the last rule that matches it."""
    for rule in reversed(rules):
        pattern, *reviewers = rule.split()
        if pattern != "#" and GitIgnoreSpec.from_lines([pattern]).match_file(name):
            return reviewers
    return []


def _table(classes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the rows of the README's table as Markdown."""
    rows = []
    for its in classes.values():
        paths = ", ".join(f"`{path[1:]}`" for path in its["paths"])
        rows.append(f"| {its['label']} | {paths} | {its['on_update']} |\n")
    return "".join(rows)
