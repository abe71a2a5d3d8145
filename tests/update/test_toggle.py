"""Every answer can be changed later, and changed back: the repo becomes that of a fresh copy."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from checks import wrong
from releases import HERE, Repos, commit, recorded, start, tree, update, whose

ROOT = Path(__file__).parents[2]

# The folder of the team's modules has this name, and an update does not touch what is the team's.
FIXED = {"package_name"}
# Where neither the choices nor the message of the validator hold another answer.
OTHERWISE = {"project_name": "Early Flights", "project_slug": "early-flights"}

SCENARIO = "airflow-classification"


def _another(name: str, question: dict[str, Any]) -> list[Any]:
    """Answers to a question that are not its default."""
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


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_is_changed_and_changed_back(repos: Repos, name: str, tmp_path: Path) -> None:
    assert OTHER[name] or len(QUESTIONS[name].get("choices", [])) == 1, f"another {name}, please"
    base = repos.base(HERE, SCENARIO)
    repo = repos.copy(HERE, SCENARIO, tmp_path / "repo")
    with (repo / "src/late_flights/model.py").open("a") as file:
        file.write("# the team's line\n")
    commit(repo)
    edited = tree(repo)
    for number, answer in enumerate(OTHER[name]):
        before = tree(repo)
        assert answer != recorded(repo)[name]
        answers = recorded(repo) | {name: answer}
        fresh = start(repos.clone, HERE, answers, tmp_path / f"fresh {number}")
        update(repo, {name: answer})
        assert recorded(repo) == answers
        after = tree(repo)
        owners = whose(fresh, {*before, *tree(fresh), *after})
        assert wrong(before, before, tree(fresh), after, owners) == []
        commit(repo)
    update(repo, {name: recorded(base)[name]})
    assert tree(repo) == edited
