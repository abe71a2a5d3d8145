"""A release that renames, removes and splits files: the team's edits are moved or reported.

The release is synthetic: a commit on a clone of this checkout, with an entry in copier.yml like the
example in the docstring of hooks/migrate.py.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RENAMED, NEW = "docker/Dockerfile", "the images/Dockerfile"
REMOVED = ".dockerignore"
PACKAGE = "src/late_flights/mlops"
SPLIT, PARTS = f"{PACKAGE}/params.py", (f"{PACKAGE}/params.py", f"{PACKAGE}/params_rest.py")
GONE, PIECES = f"{PACKAGE}/tables.py", (f"{PACKAGE}/tables_a.py", f"{PACKAGE}/tables b.py")
FOLDER, MOVED = "tests/platform", "tests/the platform"
IN_FOLDER, IN_MOVED = f"{FOLDER}/conftest.py", f"{MOVED}/conftest.py"
YOURS, CALLED = "feature_repo/definitions.py", "feature_repo/features.py"
LINE, CHANGED = "# the team's line\n", "# changed by the release\n"

Git = Callable[..., str]


def _entry(root: Path) -> dict[str, Any]:
    """Return the entry from the docstring, filled in."""
    text = ast.get_docstring(ast.parse((root / "hooks" / "migrate.py").read_text())) or ""
    example = re.search(r"^ +_migrations:\n(?: +.*\n)+", text, re.MULTILINE)
    assert example
    [entry] = yaml.safe_load(textwrap.dedent(example[0]))["_migrations"]
    moves = [
        *("--rename", RENAMED, NEW),
        *("--remove", REMOVED),
        *("--split", SPLIT, *PARTS),
        *("--split", GONE, *PIECES),
        *("--rename", FOLDER, MOVED),
        *("--rename", YOURS, CALLED),
    ]
    return {**entry, "version": "1000.0.0", "command": [*entry["command"][:2], *moves]}


def _release(clone: Path, git: Git, version: str) -> None:
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--allow-empty", "--message", version)
    git(clone, "tag", version)


def _in_template(clone: Path, path: str) -> Path:
    return clone / "template" / path.replace("late_flights", "{{ package_name }}")


def _halve(file: Path, parts: tuple[Path, Path]) -> None:
    _replace(file, -3, CHANGED)
    lines = file.read_text().splitlines(keepends=True)
    half = len(lines) // 2
    file.unlink()
    parts[0].write_text("".join(lines[:half]))
    parts[1].write_text('"""The rest."""\n' + "".join(lines[half:]))


@pytest.fixture(scope="module")
def template_with_moves(
    template: Path, git: Git, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The template with a release that moves files, followed by one that moves none."""
    clone = tmp_path_factory.mktemp("template_with_moves") / "clone"
    git(template, "clone", "--quiet", str(template), str(clone))
    for old, new in ((RENAMED, NEW), (FOLDER, MOVED), (f"{YOURS}.jinja", f"{CALLED}.jinja")):
        _in_template(clone, new).parent.mkdir(exist_ok=True)
        git(clone, "mv", f"template/{old}", f"template/{new}")
    _in_template(clone, REMOVED).unlink()
    for old, (first, second) in ((SPLIT, PARTS), (GONE, PIECES)):
        _halve(_in_template(clone, old), (_in_template(clone, first), _in_template(clone, second)))
    _replace(_in_template(clone, NEW), -3, CHANGED)
    config = clone / "copier.yml"
    registry = f"_migrations: {json.dumps([_entry(root)])}\n"
    text, count = re.subn(r"(?m)^_migrations:.*\n(?:[ -].*\n)*", registry, config.read_text())
    assert count == 1
    config.write_text(text)
    _release(clone, git, "v1000.0.0")
    (clone / "template" / "new.txt").write_text("new\n")
    _release(clone, git, "v1001.0.0")
    return clone


@pytest.fixture(scope="module")
def start(template_with_moves: Path, git: Git, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repo of the release before the moves."""
    repo = tmp_path_factory.mktemp("start") / "repo"
    _copy(template_with_moves, repo, "v999.0.0")
    _commit(repo, git)
    return repo


@pytest.fixture(scope="module")
def fresh(template_with_moves: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of a new repo of the last release."""
    repo = tmp_path_factory.mktemp("fresh") / "repo"
    _copy(template_with_moves, repo, "v1001.0.0")
    return _tree(repo)


@pytest.fixture
def repo(start: Path, tmp_path: Path) -> Path:
    return shutil.copytree(start, tmp_path / "a repo", symlinks=True)


def _copy(source: Path, repo: Path, ref: str) -> None:
    copier.run_copy(str(source), repo, vcs_ref=ref, defaults=True, quiet=True)


def _commit(repo: Path, git: Git) -> None:
    if not (repo / ".git").exists():
        git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--allow-empty", "--message", "The team's work")


def _update(repo: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `copier update` unattended."""
    command = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet", *options]
    return subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)


def _migrate(repo: Path, git: Git) -> str:
    """Commit the team's work and update across the release; return the migration's messages."""
    _commit(repo, git)
    done = _update(repo, "--trust")
    assert done.returncode == 0, done.stderr
    return "".join(x for x in done.stderr.splitlines(keepends=True) if x.startswith("migration:"))


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def _insert(file: Path, position: int) -> None:
    lines = file.read_text().splitlines(keepends=True)
    lines.insert(position, LINE)
    file.write_text("".join(lines))


def _replace(file: Path, position: int, line: str) -> None:
    lines = file.read_text().splitlines(keepends=True)
    lines[position] = line
    file.write_text("".join(lines))


def _unmerged(repo: Path, git: Git) -> set[str]:
    return set(git(repo, "diff", "--name-only", "--diff-filter=U", "-z").split("\0")[:-1])


def test_an_updated_unedited_repo_equals_a_fresh_one(
    repo: Path, git: Git, fresh: dict[str, bytes]
) -> None:
    assert _migrate(repo, git) == ""
    assert _tree(repo) == fresh


def test_edits_move_with_their_files(repo: Path, git: Git, fresh: dict[str, bytes]) -> None:
    with (repo / RENAMED).open("a") as file:
        file.write(LINE)
    (repo / RENAMED).chmod(0o755)
    for name in (SPLIT, GONE):
        _insert(repo / name, 2)
        with (repo / name).open("a") as file:
            file.write(LINE)
    _insert(repo / IN_FOLDER, 3)
    (repo / FOLDER / "ours.py").write_text(LINE)
    (repo / YOURS).write_text(LINE)
    (repo / REMOVED).write_text(LINE)
    messages = _migrate(repo, git).splitlines()
    after = _tree(repo)
    for name in (NEW, *PARTS, *PIECES, IN_MOVED):
        assert after[name].count(LINE.encode()) == 1, name
        assert after.pop(name).replace(LINE.encode(), b"") == fresh[name]
    assert (repo / NEW).stat().st_mode & 0o777 == 0o755
    for name in (f"{MOVED}/ours.py", CALLED, REMOVED):
        assert after.pop(name) == LINE.encode()
    assert after.items() <= fresh.items()
    assert len(messages) == 2
    assert f"{FOLDER}/ours.py" in messages[0]
    assert f"{REMOVED} is kept" in messages[1]
    assert not _unmerged(repo, git)
    git(repo, "ls-files", "--error-unmatch", REMOVED)


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_line_is_lost_at_any_position(
    data: st.DataObject, start: Path, git: Git, fresh: dict[str, bytes], tmp_path: Path
) -> None:
    destinations = {RENAMED: (NEW,), SPLIT: PARTS, GONE: PIECES, IN_FOLDER: (IN_MOVED,)}
    repo = shutil.copytree(start, tmp_path / "repo")
    try:
        for old in destinations:
            count = len((repo / old).read_text().splitlines())
            _insert(repo / old, data.draw(st.integers(0, count), label=old))
        _migrate(repo, git)
        after, unmerged = _tree(repo), _unmerged(repo, git)
        for old, news in destinations.items():
            if f"{old}.rej" in after:
                assert f"+{LINE}".encode() in after[f"{old}.rej"]
                continue
            assert [after[name].count(LINE.encode()) for name in news].count(1) == 1
            for name in set(news) - unmerged:
                assert after[name].replace(LINE.encode(), b"") == fresh[name]
    finally:
        shutil.rmtree(repo)


def test_a_conflict_affects_only_its_file_and_cannot_be_committed(
    repo: Path, git: Git, fresh: dict[str, bytes]
) -> None:
    conflicting = {RENAMED: NEW, SPLIT: PARTS[1], GONE: PIECES[1]}
    for name in conflicting:
        _replace(repo / name, -3, LINE)
    assert _migrate(repo, git).count("\n") == 3
    after = _tree(repo)
    for name in conflicting.values():
        conflict = f"<<<<<<< before updating\n{LINE}=======\n{CHANGED}>>>>>>> after updating\n"
        assert after.pop(name).decode().replace(conflict, CHANGED).encode() == fresh[name]
        assert git(repo, "show", f":2:{name}").replace(LINE, CHANGED).encode() == fresh[name]
        assert git(repo, "show", f":3:{name}").encode() == fresh[name]
    assert after.items() <= fresh.items()
    assert _unmerged(repo, git) == set(conflicting.values())
    with pytest.raises(AssertionError, match="not possible because you have unmerged files"):
        git(repo, "commit", "--message", "Update")
    for name in conflicting.values():
        (repo / name).write_bytes(fresh[name])
    git(repo, "add", "--intent-to-add", "--all")
    git(repo, "commit", "--quiet", "--all", "--message", "Update")
    assert set(git(repo, "ls-files", "-z").split("\0")[:-1]) == fresh.keys()


def test_edits_that_cannot_be_moved_are_kept_and_reported(
    repo: Path, git: Git, fresh: dict[str, bytes]
) -> None:
    (repo / RENAMED).unlink()
    half = len((repo / SPLIT).read_text().splitlines()) // 2
    for position in (half - 1, half):  # on both sides of the split
        _replace(repo / SPLIT, position, LINE)
    _insert(repo / GONE, 1)
    (repo / PIECES[0]).write_text(LINE)
    (repo / MOVED).mkdir()
    (repo / IN_MOVED).write_text(LINE)
    _insert(repo / IN_FOLDER, 2)
    (repo / YOURS).unlink()
    (repo / YOURS).symlink_to("elsewhere")
    messages = _migrate(repo, git)
    after = _tree(repo)
    assert NEW not in after
    assert f"{NEW} is not added" in messages
    assert (repo / CALLED).readlink() == Path("elsewhere")
    for name in (SPLIT, GONE):
        assert f"+{LINE}".encode() in after.pop(f"{name}.rej")
        assert f"{name}.rej" in messages
    assert GONE not in after
    for name in (PIECES[0], IN_MOVED, SPLIT):  # Copier merged these lines too
        assert LINE.encode() in after.pop(name)
    assert after.pop(IN_FOLDER).count(LINE.encode()) == 1
    assert f"{IN_FOLDER} is kept" in messages
    assert after.items() <= fresh.items()


def test_a_repo_in_a_folder_of_another_is_migrated(start: Path, git: Git, tmp_path: Path) -> None:
    repo = tmp_path / "outer" / "a model"
    shutil.copytree(start, repo, ignore=lambda *_: [".git"])
    _replace(repo / RENAMED, -3, LINE)
    _commit(repo.parent, git)
    assert _update(repo, "--trust").returncode == 0
    assert _unmerged(repo, git) == {f"a model/{NEW}"}
    assert LINE in (repo / NEW).read_text()


def test_without_trust_nothing_is_changed(repo: Path, git: Git) -> None:
    _insert(repo / RENAMED, 2)
    _commit(repo, git)
    before, index = _tree(repo), git(repo, "ls-files", "--stage")
    done = _update(repo)
    assert done.returncode != 0
    assert "--trust" in done.stderr
    assert "migrations" in done.stderr
    assert "Traceback" not in done.stderr
    assert _tree(repo) == before
    assert git(repo, "ls-files", "--stage") == index
    assert git(repo, "status", "--porcelain", "--ignored") == ""


def test_an_update_without_migrations_needs_no_trust(
    template_with_moves: Path, git: Git, tmp_path: Path, fresh: dict[str, bytes]
) -> None:
    repo = tmp_path / "repo"
    _copy(template_with_moves, repo, "v1000.0.0")
    _commit(repo, git)
    done = _update(repo)
    assert done.returncode == 0, done.stderr
    assert _tree(repo) == fresh


def test_a_move_without_a_migration_entry_loses_the_edit(
    repo: Path, template_with_moves: Path, git: Git, tmp_path: Path
) -> None:
    """The other tests detect lost edits only because this update loses one."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(template_with_moves), str(clone))
    config = (clone / "copier.yml").read_text()
    (clone / "copier.yml").write_text(re.sub(r"(?m)^_migrations:.*", "_migrations: []", config))
    _release(clone, git, "v1002.0.0")
    answers = (repo / ".copier-answers.yml").read_text()
    (repo / ".copier-answers.yml").write_text(answers.replace(str(template_with_moves), str(clone)))
    _insert(repo / RENAMED, 2)
    _commit(repo, git)
    done = _update(repo)
    assert done.returncode == 0, done.stderr
    assert not any(LINE.encode() in text for text in _tree(repo).values())


@pytest.mark.parametrize("words", [["--split", "a"], ["--rename", "a"], ["--move", "a", "b"]])
def test_an_invalid_entry_is_refused(root: Path, words: list[str]) -> None:
    command = [sys.executable, str(root / "hooks" / "migrate.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
