"""Updates from every release to the working tree, and from there to a made-up later release."""

import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from checks import conflicts, lost, moved, schema, wrong
from edits import CLASSES, KINDS, Edit, work, work_on_moved
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from releases import (
    HERE,
    Repos,
    commit,
    covering,
    file_owners,
    follow,
    git,
    history,
    recorded,
    scenarios,
    tree,
    update,
)

ROOT = Path(__file__).parents[2]
RELEASES = history(ROOT)
ROUTES = [(tag, name) for tag, at in RELEASES.items() for name in covering(scenarios(ROOT, at))]
# One route per minor version, from its last release, with alternating scenarios: with all routes,
# each new release would add five updates to every run.
LAST = {tuple(tag.split(".")[:2]): tag for tag in RELEASES}.values()
SAMPLE = [
    (tag, (names := covering(scenarios(ROOT, RELEASES[tag])))[index % len(names)])
    for index, tag in enumerate(LAST)
]
OLDEST = ROUTES[0]

CI = bool(os.environ.get("CI"))
some = settings(
    max_examples=4,
    derandomize=CI,
    deadline=None,
    # An example takes seconds, so a failure is not shrunk.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
edits = st.lists(
    st.tuples(st.sampled_from(list(KINDS)), st.sampled_from(CLASSES), st.integers(0, 999)),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def later(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Repos:
    """Repos of a template whose next release inserts a line in the middle of every file."""
    folder = tmp_path_factory.mktemp("later")
    return Repos(follow(template, folder / "clone", _insert_everywhere), folder)


def test_the_history_contains_the_releases() -> None:
    assert {"v0.1.0", "v0.2.0", "v0.2.1", "v0.2.2"} <= set(RELEASES)
    assert {"v0.1.0", "v0.2.2"} <= {tag for tag, _ in SAMPLE} <= set(RELEASES)


@pytest.mark.parametrize(("tag", "scenario"), SAMPLE)
def test_an_updated_unedited_repo_equals_a_fresh_one(
    repos: Repos, tag: str, scenario: str, tmp_path: Path
) -> None:
    repo = repos.copy(tag, scenario, tmp_path / "repo")
    update(repo)
    assert _complaints(repos, tag, scenario, repo) == []
    assert recorded(repo).items() >= recorded(repos.base(tag, scenario)).items()
    assert (repo / ".copier-answers.yml").read_bytes() == (
        repos.fresh(tag, scenario) / ".copier-answers.yml"
    ).read_bytes()


def test_updating_again_changes_nothing(repos: Repos, tmp_path: Path) -> None:
    repo = repos.copy(*OLDEST, tmp_path / "repo")
    update(repo)
    commit(repo)
    update(repo)
    assert git(repo, "status", "--porcelain") == ""


@some
@given(route=st.sampled_from(ROUTES), work_done=edits)
def test_edits_survive(repos: Repos, route: tuple[str, str], work_done: list[Edit]) -> None:
    _edits_survive(repos, *route, work_done)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_edit_survives_in_each_class(repos: Repos, kind: str) -> None:
    _edits_survive(repos, *OLDEST, [(kind, owner, seed) for owner in CLASSES for seed in (1, 2)])


def test_edits_of_moved_files_are_kept(repos: Repos, tmp_path: Path) -> None:
    tag, name = next(route for route in reversed(SAMPLE) if repos.moves(*route))
    repo = repos.copy(tag, name, tmp_path / "repo")
    files = sorted(x for x in repos.moves(tag, name) if (repo / x).is_file() and x.endswith(".py"))
    work_on_moved(repo, random.Random(1).sample(files, 36), 1)
    before = tree(repo)
    update(repo)
    assert lost(tree(repos.base(tag, name)), before, tree(repo)) == []


@some
@given(name=st.sampled_from(sorted(scenarios(ROOT, "HEAD"))), work_done=edits)
def test_edits_survive_a_release_that_changes_every_file(
    later: Repos, name: str, work_done: list[Edit]
) -> None:
    _edits_survive(later, HERE, name, work_done)


def test_a_line_changed_on_both_sides_is_a_conflict_in_its_file_only(
    later: Repos, tmp_path: Path
) -> None:
    name = OLDEST[1]
    repo = later.copy(HERE, name, tmp_path / "repo")
    lines = (repo / "Makefile").read_text().splitlines(keepends=True)
    lines.insert(len(lines) // 2, "# the team's\n")
    (repo / "Makefile").write_text("".join(lines))
    (repo / "params.yaml").write_text("seed: 1  # the team's\n")
    commit(repo)
    before = tree(repo)
    update(repo)
    after = tree(repo)
    assert conflicts(after) == {"Makefile"}
    makefile = (repo / "Makefile").read_text()
    assert "<<<<<<< before updating\n# the team's\n" in makefile
    assert "# of the next release\n>>>>>>> after updating\n" in makefile
    assert after["params.yaml"] == before["params.yaml"]
    states = git(repo, "status", "--porcelain").splitlines()
    assert [state for state in states if "U" in state[:2]] == ["UU Makefile"]


@pytest.mark.parametrize("name", ["CODEOWNERS", ".gitattributes"])
def test_a_file_created_on_both_sides_is_a_conflict(
    repos: Repos, name: str, tmp_path: Path
) -> None:
    repo = repos.copy(*OLDEST, tmp_path / "repo")
    (repo / name).write_text("*.png the-team\n")
    commit(repo)
    before = tree(repo)
    update(repo)
    assert conflicts(tree(repo)) == {name}
    assert _complaints(repos, *OLDEST, repo, before) == []


@pytest.mark.parametrize("tag", RELEASES)
def test_questions_and_choices_are_not_removed(tag: str, root: Path) -> None:
    old = yaml.safe_load(git(ROOT, "show", f"{RELEASES[tag]}:copier.yml"))
    new: dict[str, Any] = yaml.safe_load((root / "copier.yml").read_text())
    assert schema(old, new) == []


def _edits_survive(repos: Repos, tag: str, scenario: str, work_done: list[Edit]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repo = repos.copy(tag, scenario, Path(folder, "repo"))
        for lock in ("uv.lock", "dvc.lock"):
            (repo / lock).write_text("made: by a tool\nnext: line\n")
        work(repo, work_done, repos.fresh(tag, scenario))
        before = tree(repo)
        update(repo)
        assert _complaints(repos, tag, scenario, repo, before) == []


def _complaints(repos: Repos, tag: str, scenario: str, repo: Path, before: Any = None) -> list[str]:
    """Return the complaints about an update; `before` is the repo before it, if it was edited."""
    base = tree(repos.base(tag, scenario))
    fresh, after = tree(repos.fresh(tag, scenario)), tree(repo)
    before = base if before is None else before
    moves = repos.moves(tag, scenario)
    splits = {name for old, news in moves.items() if len(news) > 1 for name in (old, *news)}
    sides = moved(base, fresh, moves), moved(before, fresh, moves)
    owners = file_owners(repos.fresh(tag, scenario), {*sides[0], *sides[1], *fresh, *after})
    return lost(base, before, after) + wrong(*sides, fresh, after, owners, splits)


def _insert_everywhere(clone: Path) -> None:
    for path in (clone / "template").rglob("*"):
        if path.is_file() and "{% include" not in path.read_text() and "_answers" not in path.name:
            lines = path.read_text().splitlines(keepends=True)
            lines.insert(len(lines) // 2, "# of the next release\n")
            path.write_text("".join(lines))
