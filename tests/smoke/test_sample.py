"""`mlops sample`: what it refuses, and what it says of a base that does not run."""

from collections.abc import Callable

import pytest
from repos import Repo

pytestmark = pytest.mark.usefixtures("once")

Variant = Callable[[bool], Repo]
LOAD = "def load("


def test_a_base_that_fails_leaves_its_column_empty(variant: Variant) -> None:
    repo = variant(False)
    data = next(path.relative_to(repo.folder) for path in repo.folder.glob("src/*/data.py"))
    repo.edit(str(data), LOAD, "def lode(")
    assert repo.run("git", "commit", "--quiet", "--all", "--message", "Slip").code == 0
    done = repo.run("mlops", "sample", "--base", "HEAD")
    assert done.code == 1
    assert done.said.splitlines()[-1] == "mlops sample: the pipeline fails on the sample: see above"
    assert not (repo.folder / "reports/sample.md").exists()

    repo.edit(str(data), "def lode(", LOAD)
    before = repo.run("git", "status", "--porcelain").said
    assert repo.run("mlops", "sample", "--base", "HEAD").code == 0
    page = (repo.folder / "reports/sample.md").read_text()
    assert "| roc_auc |  | 0." in page
    assert "has no pipeline that runs with today's parameters and libraries" in page
    assert repo.run("git", "status", "--porcelain").said == before


def test_a_base_before_the_platform_is_no_error(variant: Variant) -> None:
    repo = variant(False)
    tree = repo.run("git", "hash-object", "-w", "-t", "tree", "/dev/null").said.strip()
    base = repo.run("git", "commit-tree", "-m", "Nothing yet", tree).said.strip()
    data = next(path.relative_to(repo.folder) for path in repo.folder.glob("src/*/data.py"))
    repo.edit(str(data), LOAD, "def lode(")  # so that it ends soon
    done = repo.run("mlops", "sample", "--base", base)
    assert done.said.splitlines()[-1] == "mlops sample: the pipeline fails on the sample: see above"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sample:\n  data: {since:", "sample:\n  data: {sinse:", "sample.data.sinse: data has no"),
        ("sample:\n  data: {", "sample:\n  dato: {", "sample.dato.since: dato has no since"),
        ("sample:\n  data: {", "sample:\n  seed: 1\n  data: {", "sample.seed"),
    ],
    ids=["name", "section", "form"],
)
def test_a_slip_in_the_section_is_refused(variant: Variant, old: str, new: str, said: str) -> None:
    repo = variant(False)
    repo.edit("params.yaml", old, new)
    done = repo.run("mlops", "sample", "--base", "HEAD")
    assert done.code == 1
    assert said in done.said
    assert len(done.said.splitlines()) == 1


def test_an_unknown_base_is_refused(variant: Variant) -> None:
    done = variant(False).run("mlops", "sample", "--base", "origin/nowhere")
    assert done.code == 1
    assert done.said.startswith("mlops sample: git knows no commit origin/nowhere: type `git fetch")
    assert len(done.said.splitlines()) == 1
