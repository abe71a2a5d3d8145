"""Propose what an environment is to run: `mlops promote` and `mlops rollback`.

The commit is made beside the work tree: what fails, or is killed, leaves nothing here.
"""

from pathlib import Path

from . import registry, release_file, release_graph, tracking
from .errors import Problem
from .git import git
from .release_file import Release
from .released import Base, clean, file
from .request import Request
from .settings import settings


def promote(
    to: str, source: str, version: str, images: Path | None, base: str, dirty: bool = False
) -> None:
    """Release to an environment what one before it runs, or to the first one what is new.

    With `dirty` the model may come from a tree with changes that no commit holds.

    Raises:
        Problem: the release is not whole, or not one that passed; or a tool failed.
    """
    clean(Path.cwd(), to)
    order = settings().environments
    if to == order[0]:
        if source:
            raise Problem(f"{to} takes from the registry: type mlops promote --to {to}")
        given = release_file.references(images) if images else {}
        here = Base.fetch(Path.cwd(), base)
        release = _newest(here.release(to), version, given, dirty)
    else:
        before = order[: order.index(to)]
        if source not in before or version or images:
            raise Problem(
                f"{to} takes what {' or '.join(before)} runs:"
                f" type mlops promote --from {before[-1]} --to {to}"
            )
        clean(Path.cwd(), source)
        here = Base.fetch(Path.cwd(), base)
        release = here.release(source)
        if not release.values():
            raise Problem(f"{source} runs nothing yet: type mlops promote --to {order[0]}")
    model = release.serving.model
    if model and model != here.release(to).serving.model and not dirty:
        _clean_tree(model.version)
    _propose(here, to, release, f"Release {_called(release)} to {to}")


def rollback(env: str, to: str, base: str) -> None:
    """Release to an environment what it ran before, or what it ran at a commit.

    Raises:
        Problem: there is no such release, or the registry has it no more; or a tool failed.
    """
    clean(Path.cwd(), env)
    here = Base.fetch(Path.cwd(), base)
    release = _at(here, env, to) if to else _former(here, env)
    _propose(here, env, release, f"Roll {env} back to {_called(release)}")


def _clean_tree(number: str) -> None:
    """Refuse a version whose code is in no commit: nobody could make it again, or mend it."""
    if registry.is_dirty(number):
        raise Problem(
            f"version {number} was trained from a tree with changes that no commit holds: commit"
            " them and type make register, or promote it all the same with DIRTY=1 (--dirty)"
        )


def _newest(
    now: Release, version: str, images: dict[str, release_file.Image], dirty: bool
) -> Release:
    """A release with these images, and a version or the champion."""
    number = version or registry.champion()
    if not version and number and images and not dirty and registry.is_dirty(number):
        print(f"Version {number} is of a tree with changes that no commit holds: images alone.")
        return now.having(images, None, _graph(images))
    if not number and not images:
        raise Problem(f"no version of {settings().model_name} has passed its gate: make pipeline")
    if not number:
        print("No version has passed its gate yet: it is the images alone.")
    return now.having(images, registry.find(number) if number else None, _graph(images))


def _graph(images: dict[str, release_file.Image]) -> release_graph.Graph | None:
    """An image has the stages of its own commit, and no others."""
    return release_graph.committed(Path.cwd()) if "pipeline" in images else None


def _at(here: Base, env: str, revision: str) -> Release:
    """What an environment ran at a commit."""
    try:
        commit = git(here.root, "rev-parse", "--verify", f"{revision}^{{commit}}").strip()
        git(here.root, "merge-base", "--is-ancestor", commit, here.commit)
    except Problem:
        raise Problem(f"{env} never ran {revision}; see: git log -- {file(env)}") from None
    if not (release := here.release(env, commit)).values():
        raise Problem(f"{env} ran nothing at {revision}; see: git log -- {file(env)}")
    return release


def _former(here: Base, env: str) -> Release:
    """The release before the present one came first: what was rolled back stays behind."""
    now = here.release(env)
    releases = [here.release(env, commit) for commit, _ in here.history(env)]
    first = len(releases) - releases[::-1].index(now) if now in releases else 0
    for release in releases[first:]:
        if release.values():
            return release
    raise Problem(f"{env} has had no release before this one; see: git log -- {file(env)}")


def _called(release: Release) -> str:
    model = release.serving.model
    return f"version {model.version}" if model else "images"


def _propose(here: Base, env: str, release: Release, title: str) -> None:
    """Propose a release of an environment, if it is another than the present one."""
    changes = _changes(here.release(env), release)
    if not changes:
        print(f"{env} has this release already: nothing to do.")
        return
    if model := release.serving.model:
        changes += ["", f"Version {model.version} passed its gate: {registry.check(model)}"]
    branch, text = f"release-{env}", "\n".join(changes) + "\n"
    before = here.proposed(branch)
    # A promotion is one commit, of one file.
    there = before and git(here.root, "log", "--format=", "--name-only", f"{here.commit}..{before}")
    if there and there.splitlines() != [here.path(env)]:
        raise Problem(f"{branch} holds commits of others: merge it, or delete the branch")
    commit = here.commit_release(env, release, f"{title}\n\n{text}")
    print(f"{title}\n\n{text}")
    if here.remote:
        Request(branch, here.branch, title, text).send(here.root, commit, before)
        return
    git(here.root, "branch", "--force", branch, commit)
    print(f"It is on the branch {branch}. What is left: git merge {branch}")


def _changes(now: Release, release: Release) -> list[str]:
    """A line of Markdown for each key that changes, and for each pipeline."""
    plain = (each.model_copy(update={"graph": {}}).values() for each in (now, release))
    old, new = map(tracking.flat, plain)
    lines = [
        f"- `{name}`: {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in {**new, **old}
        if old.get(name) != new.get(name)
    ]
    return [*lines, *release_graph.changes(now.graph, release.graph)]
