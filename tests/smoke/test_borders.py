"""Tables and parameters as strangers have them: see tests/borders, which can run for longer."""

from collections.abc import Callable
from pathlib import Path

from repos import Repo

BORDERS = Path(__file__).parents[1] / "borders"


def test_odd_tables_end_in_what_is_right_or_in_a_problem(
    once: None, variant: Callable[[bool], Repo]
) -> None:
    repo = variant(False)
    cases = str(BORDERS / "run.py")
    assert repo.run("python", cases, str(repo.folder), "--seeds", "0:3").code == 0


def test_each_way_to_write_parameters_is_read_or_refused(
    once: None, variant: Callable[[bool], Repo]
) -> None:
    repo = variant(False)
    cases = str(BORDERS / "params.py")
    assert repo.run("python", cases, str(repo.folder), "--seeds", "0:100").code == 0
