"""Update from the oldest release to this one with a team's edits; its commands work afterwards."""

import os
from pathlib import Path

from checks import conflicts, lost, moved, wrong
from releases import Repos, commit, file_owners, history, tree, update
from repos import Repo

SCENARIO = "airflow-classification"
CODE = """

def motto() -> str:
    \"\"\"Return the team's motto.\"\"\"
    return "on time"
"""


def test_the_repo_works_after_an_update(
    repos: Repos, root: Path, tmp_path: Path, added: str
) -> None:
    oldest = next(iter(history(root)))
    repo = Repo(repos.copy(oldest, SCENARIO, tmp_path / "repo"), dict(os.environ))
    assert repo.run("make", "setup").code == 0
    commit(repo.folder)
    _work(repo, added)
    commit(repo.folder)
    base, fresh = repos.base(oldest, SCENARIO), repos.fresh(oldest, SCENARIO)
    before, moves = tree(repo.folder), repos.moves(oldest, SCENARIO)

    update(repo.folder)
    after = tree(repo.folder)
    assert lost(tree(base), before, after) == []
    splits = {name for old, news in moves.items() if len(news) > 1 for name in (old, *news)}
    old, team = (moved(each, tree(fresh), moves) for each in (tree(base), before))
    owners = file_owners(fresh, {*old, *team, *tree(fresh), *after})
    assert wrong(old, team, tree(fresh), after, owners, splits) == []
    assert conflicts(after) == set()

    # Tests that the old modules could break; test_scenario.py runs the other platform tests.
    own = "-k 'contract or features or model or same_numbers or fresh_folders'"
    for command in ("setup", "graph", "lint", "test", "hello"):
        assert repo.run("make", command, PYTEST_ADDOPTS=own).code == 0, command
    assert '"summary"' in (repo.folder / "orchestration" / "pipelines.json").read_text()


def _work(repo: Repo, stage: str) -> None:
    """Edit files of every class as a team would."""
    files = {
        "src/late_flights/model.py": CODE,
        "params.yaml": "# The team's own.\n",
        "src/late_flights/mlops/graph.py": CODE,
        "Makefile": "\n.PHONY: hello\nhello:  ## the team's own\n\t@echo hello\n",
        "pyproject.toml": '\n[tool.late-flights]\nowner = "the team"\n',
        ".gitignore": "/scratch/\n",
        "dvc.yaml": stage,
    }
    for name, text in files.items():
        with (repo.folder / name).open("a") as file:
            file.write(text)
    assert repo.run("make", "graph").code == 0
