"""Propose a release of an environment: `mlops promote` and `mlops rollback`.

The commit is made outside the working tree, so a command that fails or is killed leaves no changes.
"""

from pathlib import Path

from ..errors import Problem
from ..registry import tracking, versions
from ..settings import settings
from ..vcs.change_request import Request
from ..vcs.git import git
from . import candidates, graph, manifest
from .environments import Base, Environment, clean
from .manifest import Release


def promote(
    to: str, source: str, version: str, images: Path | None, base: str, dirty: bool = False
) -> None:
    """Release what an earlier environment runs; to the first one, a registered version and images.

    `dirty` allows a model trained from a working tree with uncommitted changes.

    Raises:
        Problem: the release is incomplete or its gate has not passed, or a tool failed.
    """
    clean(Path.cwd(), to)
    order = settings().environments
    if to == order[0]:
        if source:
            raise Problem(f"{to} takes its model from the registry: type mlops promote --to {to}")
        references = manifest.references(images) if images else {}
        target = Base.fetch(Path.cwd(), base).environment(to)
        release = _newest(target.release(), version, references, dirty)
    else:
        before = order[: order.index(to)]
        if source not in before or version or images:
            raise Problem(
                f"{to} takes what {' or '.join(before)} runs:"
                f" type mlops promote --from {before[-1]} --to {to}"
            )
        clean(Path.cwd(), source)
        target = Base.fetch(Path.cwd(), base).environment(to)
        release = target.base.environment(source).release()
        if not release.values():
            raise Problem(f"{source} runs nothing yet: type mlops promote --to {order[0]}")
    model = release.serving.model
    if model and model != target.release().serving.model and not dirty:
        _clean_tree(model.version)
    _propose(target, release, f"Release {_label(release)} to {to}")


def rollback(name: str, to: str, base: str) -> None:
    """Release to an environment what it ran before, or what it ran at a commit.

    Raises:
        Problem: there is no such release, the registry no longer has it, or a tool failed.
    """
    clean(Path.cwd(), name)
    env = Base.fetch(Path.cwd(), base).environment(name)
    release = _at(env, to) if to else _former(env)
    _propose(env, release, f"Roll {name} back to {_label(release)}")


def _clean_tree(number: str) -> None:
    """Refuse a version whose code is in no commit: nobody could reproduce or fix it."""
    if versions.get(number).is_dirty:
        raise Problem(
            f"version {number} was trained from a working tree with uncommitted changes: commit"
            " them and type make register, or promote it anyway with DIRTY=1 (--dirty)"
        )


def _newest(now: Release, version: str, images: dict[str, manifest.Image], dirty: bool) -> Release:
    """Return the current release with these images, and with a version or the champion."""
    champion = None if version else versions.champion()
    if champion and champion.is_dirty and images and not dirty:
        print(f"{champion} was trained with uncommitted changes: releasing only the images.")
        return now.having(images, None, _graph(images))
    number = version or (champion.number if champion else "")
    if not number and not images:
        raise Problem(
            f"no version of {settings().model_name} has passed its gate: type make pipeline"
        )
    if not number:
        print("No version has passed its gate yet: releasing only the images.")
    return now.having(images, candidates.find(number) if number else None, _graph(images))


def _graph(images: dict[str, manifest.Image]) -> graph.Graph | None:
    """Return the graph of this commit: an image has the stages of its own commit only."""
    return graph.committed(Path.cwd()) if "pipeline" in images else None


def _at(env: Environment, revision: str) -> Release:
    """Return what an environment ran at a commit."""
    try:
        root = env.base.root
        commit = git(root, "rev-parse", "--verify", f"{revision}^{{commit}}").strip()
        git(root, "merge-base", "--is-ancestor", commit, env.base.commit)
    except Problem:
        raise Problem(f"{env.name} never ran {revision}; see: git log -- {env.file}") from None
    if not (release := env.release(commit)).values():
        raise Problem(f"{env.name} ran nothing at {revision}; see: git log -- {env.file}")
    return release


def _former(env: Environment) -> Release:
    """Return the release before the current one was first used, which skips rolled-back ones."""
    now = env.release()
    releases = [env.release(commit) for commit, _ in env.history()]
    first = len(releases) - releases[::-1].index(now) if now in releases else 0
    for release in releases[first:]:
        if release.values():
            return release
    raise Problem(f"{env.name} has had no release before this one; see: git log -- {env.file}")


def _label(release: Release) -> str:
    model = release.serving.model
    return f"version {model.version}" if model else "images"


def _propose(env: Environment, release: Release, title: str) -> None:
    """Propose a release of an environment, unless it is the current one."""
    here, changes = env.base, _changes(env.release(), release)
    if not changes:
        print(f"{env.name} has this release already: nothing to do.")
        return
    if model := release.serving.model:
        changes += ["", f"Version {model.version} passed its gate: {candidates.check(model)}"]
    branch, text = f"release-{env.name}", "\n".join(changes) + "\n"
    before = here.proposed(branch)
    # A release changes one file; a branch with other changes is not overwritten.
    paths = before and git(here.root, "log", "--format=", "--name-only", f"{here.commit}..{before}")
    if paths and paths.splitlines() != [env.path]:
        raise Problem(f"{branch} holds commits of others: merge it, or delete the branch")
    commit = env.commit(release, f"{title}\n\n{text}")
    print(f"{title}\n\n{text}")
    if here.remote:
        Request(branch, here.branch, title, text).send(here.root, commit, before)
        return
    git(here.root, "branch", "--force", branch, commit)
    print(f"The release is on the branch {branch}. Next, type: git merge {branch}")


def _changes(now: Release, release: Release) -> list[str]:
    """Return one line of Markdown per changed key and per changed pipeline."""
    plain = (each.model_copy(update={"graph": {}}).values() for each in (now, release))
    old, new = map(tracking.flat, plain)
    lines = [
        f"- `{name}`: {old.get(name, 'none')} → {new.get(name, 'none')}"
        for name in {**new, **old}
        if old.get(name) != new.get(name)
    ]
    return [*lines, *graph.changes(now.graph, release.graph)]
