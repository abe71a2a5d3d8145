"""The checks of `mlops doctor`: each yields its findings."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Literal
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from ..answers import ANSWERS, answer
from ..errors import Problem
from ..settings import settings
from ..upgrade import copier
from ..vcs.git import ask, git, own, top, tracked

MLFLOW_SECONDS, DVC_SECONDS = 5, 30
"""Timeouts of services; the one for DVC is longer, since its remotes retry by themselves."""

TOOLS = {
    "git": "install git",
    "uv": "make setup, which installs it",
    "make": "install GNU make",
}
FOLDERS_TOOLS = {
    "deploy/chart": {"helm": "make chart, and to install deploy/chart"},
    "orchestration/argo": {"argo": "make submit", "kubectl": "to look at the cluster"},
}
"""Tools by folder, each with the command that needs it."""
ARGO_CD = Path("deploy/argocd/applicationset.yaml")


@dataclass(frozen=True)
class Finding:
    """What is wrong and what to type; the level `knowing` is for mere information."""

    what: str
    remedy: str = ""
    level: Literal["fix", "advice", "knowing"] = "fix"


Check = Callable[[], Iterable[Finding]]


def conflicts() -> Iterator[Finding]:
    """Files that a merge or an update left unfinished."""
    from ..upgrade.update import conflicts

    for line in conflicts(Path.cwd()):
        file, problem, remedy = line.split("\t")
        yield Finding(f"{file}: {problem}", remedy)


def graph() -> Iterator[Finding]:
    """A pipelines.json that does not match dvc.yaml."""
    from ..runner import graph

    graph.check()
    yield from ()


def tools() -> Iterator[Finding]:
    """Missing programs that the repo's commands call."""
    path = f"{os.environ.get('PATH', os.defpath)}:.uv/bin"
    for tool, remedy in TOOLS.items():
        if not shutil.which(tool, path=path):
            yield Finding(f"{tool} is missing", remedy)
    for folder, needed in FOLDERS_TOOLS.items():
        for tool, use in needed.items():
            if Path(folder).exists() and not shutil.which(tool):
                yield Finding(f"{tool} is missing", f"install it; needed by: {use}", "advice")


def services() -> Iterator[Finding]:
    """Services that do not respond: MLflow and the DVC remote."""
    uri = settings().tracking_uri
    if reason := _away(uri):
        yield Finding(
            f"MLflow at {urlsplit(uri)._replace(netloc=_host(uri)).geturl()}: {reason}",
            "check the network, then MLFLOW_TRACKING_URI, or tracking-uri in pyproject.toml",
        )
    yield from _dvc_remote()


def origin() -> Iterator[Finding]:
    """An `origin` that is not the repo that Argo CD reads: its commits are not deployed."""
    read = re.findall(r"repoURL: *(\S+)", ARGO_CD.read_text()) if ARGO_CD.exists() else []
    remote = (ask(Path.cwd(), "remote", "get-url", "origin") or "").strip()
    if remote and any(_place(url) != _place(remote) for url in read):
        yield Finding(
            f"Argo CD reads {read[0]}, but origin is {_place(remote)}",
            "make update DATA=repo_url=URL; then apply deploy/argocd/ again",
            "advice",
        )


def folder() -> Iterator[Finding]:
    """A repo that is a folder of a larger one: some files have an effect only at the top."""
    root = Path.cwd()
    if not own(root) and tracked(root):
        yield Finding(
            f"the repo is a folder of {top(root)}: hosts read CI and CODEOWNERS only at its top,"
            " Argo CD reads deploy/ from there, and `make hooks` does not work",
            level="knowing",
        )


def release() -> Iterator[Finding]:
    """A newer release of the platform."""
    try:
        current, latest = copier.versions(Path.cwd())
    except Problem as problem:
        yield Finding(str(problem), level="advice")
        return
    if current != latest:
        yield Finding(f"{latest} is out, the repo has {current}", "make update", "advice")
    else:
        yield Finding(f"{current} is the latest release", level="knowing")


def drift() -> Iterator[Finding]:
    """Files that differ from the template, by owner: see .gitattributes."""
    try:
        changed = _changed(Path.cwd())
    except Problem as problem:
        yield Finding(str(problem), level="advice")
        return
    owners = _owners([*changed, "Makefile"])
    if changed and owners["Makefile"] == "unspecified":
        yield Finding(
            f"no file has the attribute `mlops`, so {len(changed)} changed files may be yours",
            "restore .gitattributes: git log -- .gitattributes",
            "advice",
        )
    for file, how in changed.items():
        if owners[file] == "platform":
            yield Finding(
                f"{file} belongs to the platform, but was {how} here: updates may conflict",
                f"git log -p -- {file}; then move the change into your own files",
                "advice",
            )
        elif owners[file] == "shared":
            yield Finding(f"{file} is shared, and was {how} here", level="knowing")


CHECKS: dict[str, Check] = {
    "conflicts": conflicts,
    "graph": graph,
    "tools": tools,
    "services": services,
    "origin": origin,
    "folder": folder,
    "template": release,
    "drift": drift,
}


def _place(url: str) -> str:
    """Return the host and path of a git URL, normalized, without user and password."""
    rest = re.sub(r"^(\w+://)?([^@/]*@)?", "", url)
    return re.sub(r"^([^/:]+):(\d+/)?", r"\1/", rest).rstrip("/").removesuffix(".git").lower()


def _host(uri: str) -> str:
    """Return the host and port of a URI, without user and password."""
    return urlsplit(uri).netloc.rpartition("@")[2]


def _away(uri: str) -> str:
    """Return why an HTTP service does not respond; "" if it does, or if the URI is not HTTP."""
    if urlsplit(uri).scheme not in ("http", "https"):
        return ""
    plain = urlsplit(uri)._replace(netloc=_host(uri)).geturl()
    try:
        urlopen(f"{plain.rstrip('/')}/health", timeout=MLFLOW_SECONDS).close()
    except HTTPError as error:  # it responds, and may require a login
        error.close()
        return f"HTTP {error.code}" if error.code >= 500 else ""
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""


def _dvc_remote() -> Iterator[Finding]:
    """Ask the DVC remote in a thread, which may be left behind: some remotes retry for minutes."""
    raised: list[Exception] = []

    def ask() -> None:
        from dvc.repo import Repo

        from ..runner.dvc_repo import problems
        from ..runner.remote import Remote

        try:
            with problems(), Repo() as repo:
                Remote(repo, "").ask()
        except Exception as error:
            raised.append(error)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DVC_SECONDS)
    if thread.is_alive():
        yield Finding(
            f"no answer from the DVC remote in {DVC_SECONDS} s", "check its url: dvc remote list"
        )
    for error in raised:
        raise error


def _changed(root: Path) -> dict[str, str]:
    """Return "changed" or "deleted" for each file that differs from the template."""
    answer(root, "_commit")
    changes = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copier.render(root, (root / ANSWERS).read_text(), folder)
        for path in sorted(folder.rglob("*")):
            file, here = path.relative_to(folder).as_posix(), root / path.relative_to(folder)
            if path.is_dir() or file == ANSWERS:
                continue
            if not here.exists():
                changes[file] = "deleted"
            elif here.read_bytes() != path.read_bytes():
                changes[file] = "changed"
    return changes


def _owners(files: list[str]) -> dict[str, str]:
    """Return the owner of each file by its attribute `mlops`; `unspecified` without one."""
    try:
        names = "\0".join(files)
        fields = git(Path.cwd(), "check-attr", "-z", "mlops", "--stdin", stdin=names).split("\0")
    except Problem:
        fields = []
    owners = dict(zip(fields[0::3], fields[2::3], strict=False))
    return {file: owners.get(file, "unspecified") for file in files}
