"""Every answer can be changed later and changed back: the repo equals a fresh copy each time."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from checks import wrong
from releases import HERE, Repos, commit, file_owners, recorded, start, tree, update

ROOT = Path(__file__).parents[2]

# The team's modules are in a folder of this name, and an update does not touch the team's files.
FIXED = {"package_name"}
# For questions with neither choices nor an example in the validator's message.
OTHERWISE = {"project_name": "Early Flights", "project_slug": "early-flights"}

SCENARIO = "airflow-classification"


def _another(name: str, question: dict[str, Any]) -> list[Any]:
    """Return answers to a question that differ from its default."""
    default = question["default"]
    if name in OTHERWISE:
        return [OTHERWISE[name]]
    if choices := question.get("choices"):
        values = choices.values() if isinstance(choices, dict) else choices
        if question.get("multiselect"):
            return [[], *([value] for value in values)]
        return [value for value in values if value != default]
    if question["type"] == "bool":
        return [not default]
    return re.findall(r"such as: (.+?)(?: {%|$)", question["validator"])[:1]


QUESTIONS = {
    name: question
    for name, question in yaml.safe_load((ROOT / "copier.yml").read_text()).items()
    if not name.startswith("_") and question.get("when") is not False and name not in FIXED
}
OTHER = {name: _another(name, question) for name, question in QUESTIONS.items()}
TEXTS = [
    name
    for name, question in QUESTIONS.items()
    if question["type"] == "str" and "choices" not in question
]
CHANGES = {
    "texts": [{name: OTHER[name][0] for name in TEXTS}],
    **{name: [{name: answer} for answer in OTHER[name]] for name in QUESTIONS if name not in TEXTS},
}


def test_each_question_has_an_alternative_answer() -> None:
    for name, question in QUESTIONS.items():
        assert OTHER[name] or len(question.get("choices", [])) == 1, (
            f"add another {name} to OTHERWISE"
        )


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_an_answer_can_be_changed_and_changed_back(
    repos: Repos, changed: list[dict[str, Any]], tmp_path: Path
) -> None:
    base = repos.base(HERE, SCENARIO)
    repo = repos.copy(HERE, SCENARIO, tmp_path / "repo")
    with (repo / "src/late_flights/model.py").open("a") as file:
        file.write("# the team's line\n")
    commit(repo)
    edited = tree(repo)
    for number, change in enumerate(changed):
        before = tree(repo)
        assert all(recorded(repo)[name] != answer for name, answer in change.items())
        answers = recorded(repo) | change
        fresh = start(repos.clone, HERE, answers, tmp_path / f"fresh {number}")
        update(repo, change)
        assert recorded(repo) == answers
        after = tree(repo)
        owners = file_owners(fresh, {*before, *tree(fresh), *after})
        assert wrong(before, before, tree(fresh), after, owners) == []
        commit(repo)
    update(repo, {name: recorded(base)[name] for change in changed for name in change})
    assert tree(repo) == edited
