"""Short runs of tests/borders: unusual tables and parameters."""

from collections.abc import Callable
from pathlib import Path

from repos import Repo

BORDERS = Path(__file__).parents[1] / "borders"


def test_unusual_tables_give_correct_results_or_a_problem(
    once: None, variant: Callable[[bool], Repo]
) -> None:
    repo = variant(False)
    cases = str(BORDERS / "run.py")
    assert repo.run("python", cases, str(repo.folder), "--seeds", "0:3").code == 0


def test_unusual_parameters_are_read_or_refused(
    once: None, variant: Callable[[bool], Repo]
) -> None:
    repo = variant(False)
    cases = str(BORDERS / "params.py")
    assert repo.run("python", cases, str(repo.folder), "--seeds", "0:100").code == 0
