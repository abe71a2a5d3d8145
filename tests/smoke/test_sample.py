"""`mlops sample`: a base that fails, and refused parameters and revisions."""

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
    assert (
        done.output.splitlines()[-1] == "mlops sample: the pipeline failed on the sample: see above"
    )
    assert not (repo.folder / "reports/sample.md").exists()

    repo.edit(str(data), "def lode(", LOAD)
    before = repo.run("git", "status", "--porcelain").output
    assert repo.run("mlops", "sample", "--base", "HEAD").code == 0
    page = (repo.folder / "reports/sample.md").read_text()
    assert "| roc_auc |  | 0." in page
    assert "has no pipeline that runs with the current parameters and libraries" in page
    assert repo.run("git", "status", "--porcelain").output == before


def test_a_base_without_the_platform_is_accepted(variant: Variant) -> None:
    repo = variant(False)
    tree = repo.run("git", "hash-object", "-w", "-t", "tree", "/dev/null").output.strip()
    base = repo.run("git", "commit-tree", "-m", "Nothing yet", tree).output.strip()
    data = next(path.relative_to(repo.folder) for path in repo.folder.glob("src/*/data.py"))
    repo.edit(str(data), LOAD, "def lode(")  # to end early
    done = repo.run("mlops", "sample", "--base", base)
    assert (
        done.output.splitlines()[-1] == "mlops sample: the pipeline failed on the sample: see above"
    )


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("sample:\n  data: {since:", "sample:\n  data: {sinse:", "sample.data.sinse: data has no"),
        ("sample:\n  data: {", "sample:\n  dato: {", "sample.dato.since: dato has no since"),
        ("sample:\n  data: {", "sample:\n  seed: 1\n  data: {", "sample.seed"),
    ],
    ids=["name", "section", "form"],
)
def test_a_mistake_in_the_sample_section_is_refused(
    variant: Variant, old: str, new: str, error: str
) -> None:
    repo = variant(False)
    repo.edit("params.yaml", old, new)
    done = repo.run("mlops", "sample", "--base", "HEAD")
    assert done.code == 1
    assert error in done.output
    assert len(done.output.splitlines()) == 1


def test_an_unknown_base_is_refused(variant: Variant) -> None:
    done = variant(False).run("mlops", "sample", "--base", "origin/nowhere")
    assert done.code == 1
    assert done.output.startswith(
        "mlops sample: there is no commit origin/nowhere: type `git fetch"
    )
    assert len(done.output.splitlines()) == 1
