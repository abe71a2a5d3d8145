"""The releases that the history holds, the repos that they made, and the update to the latest."""

import os
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import copier
import yaml
from copier.errors import UnsafeTemplateError

# What lies here, and a release after it that a test makes up.
HERE = "v999.0.0"
LATER = "v1000.0.0"

Answers = dict[str, Any]
# Whether a file is executable, and its bytes; a link's are where it leads.
Tree = Mapping[str, tuple[bool, bytes]]


def git(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run git in a folder; give what it prints."""
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=stdin)
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def history(checkout: Path) -> dict[str, str]:
    """The commit of each release, the oldest first: the one that raised the version."""
    commits: dict[str, str] = {}
    touched = git(checkout, "log", "--first-parent", "--format=%H", "--", "pyproject.toml").split()
    for commit in reversed(touched):
        project = tomllib.loads(git(checkout, "show", f"{commit}:pyproject.toml"))["project"]
        commits.setdefault(f"v{project['version']}", commit)
    return commits


def publish(checkout: Path, clone: Path) -> Path:
    """Clone a checkout, tag its releases, and what is not committed yet as the latest.

    Copier takes the latest tag, and of a checkout with changes it records a commit that does not
    exist; so both would test something else than the files that lie here.
    """
    git(checkout, "clone", "--quiet", "--no-tags", str(checkout), str(clone))
    for tag, commit in history(clone).items():
        git(clone, "tag", tag, commit)
    git(clone, f"--work-tree={checkout}", "add", "--all")
    _release(clone, HERE)
    git(clone, "reset", "--quiet", "--hard")
    return clone


def follow(clone: Path, later: Path, change: Callable[[Path], None]) -> Path:
    """Clone a template and publish a release after its latest, with a change to its files."""
    git(clone, "clone", "--quiet", str(clone), str(later))
    change(later)
    git(later, "add", "--all")
    _release(later, LATER)
    return later


def _release(clone: Path, tag: str) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Release")
    git(clone, "tag", tag)


def scenarios(checkout: Path, commit: str) -> dict[str, Answers]:
    """The answers of each combination that a release supports, by its name."""
    names = git(checkout, "ls-tree", "--name-only", f"{commit}:scenarios").split()
    return {
        name.removesuffix(".yml"): yaml.safe_load(
            git(checkout, "show", f"{commit}:scenarios/{name}")
        )
        for name in names
    }


def start(clone: Path, tag: str, answers: Answers, folder: Path) -> Path:
    """Make a team's repo as a release made it, and commit it."""
    copier.run_copy(str(clone), folder, answers, vcs_ref=tag, defaults=True, quiet=True)
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def covering(names: Collection[str]) -> list[str]:
    """Of scenarios ENGINE-TYPE, as few as have each engine and each type: no file needs both."""
    chosen: list[str] = []
    for least in (2, 1):
        for name in sorted(names):
            if len({*name.split("-")}.difference(*(each.split("-") for each in chosen))) >= least:
                chosen.append(name)
    return chosen


class Repos:
    """The repos that the releases made of their scenarios: each made once, and copied."""

    def __init__(self, clone: Path, folder: Path) -> None:
        """Keep them in a folder; the template is a clone whose releases are tagged."""
        self.clone = clone
        self.folder = folder
        self.latest = git(clone, "tag", "--sort=version:refname").split()[-1]

    def base(self, tag: str, scenario: str) -> Path:
        """A repo as a release made it. Not to be edited."""
        folder = self.folder / f"{tag}-{scenario}"
        if not folder.exists():
            start(self.clone, tag, scenarios(self.clone, tag)[scenario], folder)
        return folder

    def fresh(self, tag: str, scenario: str) -> Path:
        """What the latest release makes of the answers of that repo. Not to be edited."""
        folder = self.folder / f"{tag}-{scenario}-fresh"
        if not folder.exists():
            start(self.clone, self.latest, recorded(self.base(tag, scenario)), folder)
        return folder

    def copy(self, tag: str, scenario: str, folder: Path) -> Path:
        """Such a repo to work in."""
        return shutil.copytree(self.base(tag, scenario), folder, symlinks=True)


def commit(folder: Path) -> None:
    """Commit all there is in a repo, if anything."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Work")


def update(folder: Path, answers: Answers | None = None) -> None:
    """Update a repo to the latest release, trusting the template only where it must be."""
    for trust in (False, True):
        try:
            copier.run_update(
                folder, answers, defaults=True, overwrite=True, quiet=True, unsafe=trust
            )
            return
        except UnsafeTemplateError:
            if trust:
                raise


def recorded(folder: Path) -> Answers:
    """The answers that a repo was made of."""
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return {name: value for name, value in answers.items() if not name.startswith("_")}


def tree(folder: Path) -> Tree:
    """Each file in a repo that git does not ignore."""
    names = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    paths = {name: folder / name for name in names if name}
    return {x: _entry(path) for x, path in paths.items() if path.is_symlink() or path.is_file()}


def _entry(path: Path) -> tuple[bool, bytes]:
    if path.is_symlink():
        return False, os.fsencode(path.readlink())
    return bool(path.stat().st_mode & stat.S_IXUSR), path.read_bytes()


def whose(folder: Path, names: Collection[str]) -> dict[str, str]:
    """The class that owns each of some files, as the attributes of a repo say."""
    said = git(
        folder, "check-attr", "-z", "--stdin", "mlops", stdin="".join(f"{x}\0" for x in names)
    )
    fields = said.split("\0")
    return dict(zip(fields[0::3], fields[2::3], strict=False))
