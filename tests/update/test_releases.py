"""From every release to what lies here, and from here to a made-up release, edits in place."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from checks import conflicts, lost, schema, wrong
from edits import CLASSES, KINDS, Edit, work
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from releases import (
    HERE,
    Repos,
    commit,
    covering,
    follow,
    git,
    history,
    recorded,
    scenarios,
    tree,
    update,
    whose,
)

ROOT = Path(__file__).parents[2]
RELEASES = history(ROOT)
ROUTES = [(tag, name) for tag, at in RELEASES.items() for name in covering(scenarios(ROOT, at))]
# One of each release, of another scenario each time: with all of them, every release would make
# every run longer by five.
SAMPLE = [
    (tag, (names := covering(scenarios(ROOT, at)))[place % len(names)])
    for place, (tag, at) in enumerate(RELEASES.items())
]
OLDEST = ROUTES[0]

CI = bool(os.environ.get("CI"))
some = settings(
    max_examples=4,
    derandomize=CI,
    deadline=None,
    # An example takes seconds: show a failure as it was found.
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
    """The repos of a template whose next release puts a line into the middle of every file."""
    folder = tmp_path_factory.mktemp("later")
    return Repos(follow(template, folder / "clone", _insert_everywhere), folder)


def test_the_history_holds_releases() -> None:
    assert {"v0.1.0", "v0.2.0", "v0.2.1", "v0.2.2"} <= set(RELEASES) == {tag for tag, _ in SAMPLE}


@pytest.mark.parametrize(("tag", "scenario"), SAMPLE)
def test_an_unedited_repo_becomes_a_fresh_one(
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


@some
@given(name=st.sampled_from(sorted(scenarios(ROOT, "HEAD"))), work_done=edits)
def test_edits_survive_a_release_that_changes_every_file(
    later: Repos, name: str, work_done: list[Edit]
) -> None:
    _edits_survive(later, HERE, name, work_done)


def test_a_line_that_both_changed_is_a_conflict_in_that_file_alone(
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
    said = (repo / "Makefile").read_text()
    assert "<<<<<<< before updating\n# the team's\n" in said
    assert "# of the next release\n>>>>>>> after updating\n" in said
    assert after["params.yaml"] == before["params.yaml"]
    states = git(repo, "status", "--porcelain").splitlines()
    assert [state for state in states if "U" in state[:2]] == ["UU Makefile"]


@pytest.mark.parametrize("name", ["CODEOWNERS", ".gitattributes"])
def test_a_file_that_both_began_is_a_conflict(repos: Repos, name: str, tmp_path: Path) -> None:
    repo = repos.copy(*OLDEST, tmp_path / "repo")
    (repo / name).write_text("*.png the-team\n")
    commit(repo)
    before = tree(repo)
    update(repo)
    assert conflicts(tree(repo)) == {name}
    assert _complaints(repos, *OLDEST, repo, before) == []


@pytest.mark.parametrize("tag", RELEASES)
def test_the_questions_only_grow(tag: str, root: Path) -> None:
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
    """What the update of a repo did wrong; `before` is what it was, where it had been edited."""
    base = tree(repos.base(tag, scenario))
    fresh, after = tree(repos.fresh(tag, scenario)), tree(repo)
    before = base if before is None else before
    owners = whose(repos.fresh(tag, scenario), {*base, *before, *fresh, *after})
    return lost(base, before, after) + wrong(base, before, fresh, after, owners)


def _insert_everywhere(clone: Path) -> None:
    for path in (clone / "template").rglob("*"):
        if path.is_file() and "{% include" not in path.read_text() and "_answers" not in path.name:
            lines = path.read_text().splitlines(keepends=True)
            lines.insert(len(lines) // 2, "# of the next release\n")
            path.write_text("".join(lines))
