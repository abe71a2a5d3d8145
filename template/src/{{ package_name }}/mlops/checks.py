"""The checks of `mlops doctor`: each gives what it finds."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from . import template
from .doctor import Check, Finding
from .errors import Problem
from .git import ask, git, own, top, tracked
from .settings import settings

MLFLOW_SECONDS, DVC_SECONDS = 5, 30
"""How long a service may take to answer; DVC's remotes try a few times by themselves."""

TOOLS = {
    "git": "install git",
    "uv": "make setup, which installs it",
    "make": "install GNU make",
}
FOLDERS_TOOLS = {
    "deploy/chart": {"helm": "make chart, and to install deploy/chart"},
    "orchestration/argo": {"argo": "make submit", "kubectl": "to look at the cluster"},
}
"""What the commands of a folder call, and which."""
ARGO_CD = Path("deploy/argocd/applicationset.yaml")


def conflicts() -> Iterator[Finding]:
    """Files that a merge or an update left unfinished."""
    from .update import conflicts

    for line in conflicts(Path.cwd()):
        file, what, remedy = line.split("\t")
        yield Finding(f"{file}: {what}", remedy)


def graph() -> Iterator[Finding]:
    """A pipelines.json that does not follow dvc.yaml."""
    from . import graph

    graph.check()
    yield from ()


def tools() -> Iterator[Finding]:
    """Programs that the repo's commands call and that are not there."""
    path = f"{os.environ.get('PATH', os.defpath)}:.uv/bin"
    for tool, remedy in TOOLS.items():
        if not shutil.which(tool, path=path):
            yield Finding(f"{tool} is missing", remedy)
    for folder, needed in FOLDERS_TOOLS.items():
        for tool, use in needed.items():
            if Path(folder).exists() and not shutil.which(tool):
                yield Finding(f"{tool} is missing", f"install it; needed by: {use}", "advice")


def services() -> Iterator[Finding]:
    """Services that do not answer: MLflow's and DVC's."""
    uri = settings().tracking_uri
    if reason := _away(uri):
        yield Finding(
            f"MLflow at {urlsplit(uri)._replace(netloc=_host(uri)).geturl()}: {reason}",
            "check the network, then MLFLOW_TRACKING_URI, or tracking-uri in pyproject.toml",
        )
    yield from _dvc_remote()


def origin() -> Iterator[Finding]:
    """A remote that is not the repo that Argo CD reads: what is pushed there is not deployed."""
    read = re.findall(r"repoURL: *(\S+)", ARGO_CD.read_text()) if ARGO_CD.exists() else []
    remote = (ask(Path.cwd(), "remote", "get-url", "origin") or "").strip()
    if remote and any(_place(url) != _place(remote) for url in read):
        yield Finding(
            f"Argo CD reads {read[0]}, and origin is {_place(remote)}",
            "make update DATA=repo_url=URL; then apply deploy/argocd/ again",
            "advice",
        )


def folder() -> Iterator[Finding]:
    """That the repo is a folder of a larger one: some files count at the top of a repository."""
    root = Path.cwd()
    if not own(root) and tracked(root):
        yield Finding(
            f"the repo is a folder of {top(root)}: hosts read CI and CODEOWNERS at its top alone,"
            " Argo CD reads deploy/ from there, and `make hooks` does not work",
            level="knowing",
        )


def release() -> Iterator[Finding]:
    """Whether the platform has a newer release."""
    try:
        current, latest = template.versions(Path.cwd())
    except Problem as problem:
        yield Finding(str(problem), level="advice")
        return
    if current != latest:
        yield Finding(f"{latest} is out, the repo has {current}", "make update", "advice")
    else:
        yield Finding(f"{current} is the latest release", level="knowing")


def drift() -> Iterator[Finding]:
    """Files that are not as the template made them, by whose they are: see .gitattributes."""
    try:
        changed = _changed(Path.cwd())
    except Problem as problem:
        yield Finding(str(problem), level="advice")
        return
    owners = _owners([*changed, "Makefile"])
    if changed and owners["Makefile"] == "unspecified":
        yield Finding(
            f"no file has the attribute `mlops`, so {len(changed)} changed files may be yours",
            "bring .gitattributes back: git log -- .gitattributes",
            "advice",
        )
    for file, how in changed.items():
        if owners[file] == "platform":
            yield Finding(
                f"{file} is the platform's, and {how} here: updates may conflict",
                f"see it: git log -p -- {file}; then move it into files of yours",
                "advice",
            )
        elif owners[file] == "shared":
            yield Finding(f"{file} is shared, and {how} here", level="knowing")


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
    """Host and path of a git URL, the same however it is written; no user, no password."""
    rest = re.sub(r"^(\w+://)?([^@/]*@)?", "", url)
    return re.sub(r"^([^/:]+):(\d+/)?", r"\1/", rest).rstrip("/").removesuffix(".git").lower()


def _host(uri: str) -> str:
    """The part of a URI that may be shown: no user, no password."""
    return urlsplit(uri).netloc.rpartition("@")[2]


def _away(uri: str) -> str:
    """Why an HTTP service does not answer; "" where it does, or where none is asked."""
    if urlsplit(uri).scheme not in ("http", "https"):
        return ""
    plain = urlsplit(uri)._replace(netloc=_host(uri)).geturl()
    try:
        urlopen(f"{plain.rstrip('/')}/health", timeout=MLFLOW_SECONDS).close()
    except HTTPError as error:  # it answers, and may want a login
        error.close()
        return f"HTTP {error.code}" if error.code >= 500 else ""
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""


def _dvc_remote() -> Iterator[Finding]:
    """Ask in a thread, which may be left behind: some remotes try again for minutes."""
    raised: list[Exception] = []

    def ask() -> None:
        from dvc.repo import Repo

        from .dvc_repo import problems
        from .remote import Remote

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
    """What happened to each file that is not as the template made it."""
    template.answer(root, "_commit")
    made = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template.render(root, (root / template.ANSWERS).read_text(), folder)
        for path in sorted(folder.rglob("*")):
            file, here = path.relative_to(folder).as_posix(), root / path.relative_to(folder)
            if path.is_dir() or file == template.ANSWERS:
                continue
            if not here.exists():
                made[file] = "deleted"
            elif here.read_bytes() != path.read_bytes():
                made[file] = "changed"
    return made


def _owners(files: list[str]) -> dict[str, str]:
    """Whose each file is, by the attribute `mlops`; `unspecified` where none says so."""
    try:
        names = "\0".join(files)
        fields = git(Path.cwd(), "check-attr", "-z", "mlops", "--stdin", stdin=names).split("\0")
    except Problem:
        fields = []
    said = dict(zip(fields[0::3], fields[2::3], strict=False))
    return {file: said.get(file, "unspecified") for file in files}
