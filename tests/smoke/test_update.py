"""From the oldest release to this one with a team's work in place: what it then types works."""

import os
from pathlib import Path

from checks import conflicts, lost, wrong
from releases import Repos, commit, history, tree, update, whose
from repos import Repo

SCENARIO = "airflow-classification"
CODE = """

def motto() -> str:
    \"\"\"Say what the team says.\"\"\"
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
    before = tree(repo.folder)

    update(repo.folder)
    after = tree(repo.folder)
    owners = whose(fresh, {*before, *tree(fresh), *after})
    assert lost(tree(base), before, after) == []
    assert wrong(tree(base), before, tree(fresh), after, owners) == []
    assert conflicts(after) == set()

    # What the old modules could break: the rest of the platform's tests runs in test_scenario.py.
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
