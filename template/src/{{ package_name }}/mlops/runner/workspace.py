"""A stage's own workspace: a copy of the repo's files, with DVC configured for it."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path

from ..settings import Settings
from ..vcs.git import ask, sha


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Copy the repo's files to a folder in TMPDIR, change to it, and remove it at the end.

    On SIGTERM, too: the running commands are stopped, and the exit code is 143.
    """
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        with tempfile.TemporaryDirectory(prefix="mlops-", ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            for file in _files(root):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / file, folder / file, follow_symlinks=False)
            _configure(root, folder)
            with chdir(folder):
                yield folder
    finally:
        signal.signal(signal.SIGTERM, previous)


def environment(conf: Settings, folder: Path, run_id: str, date: str = "") -> dict[str, str]:
    """Return the variables that a stage's command gets in addition to the current ones."""
    variables = {
        "MLFLOW_TRACKING_URI": conf.tracking_uri,
        "MLOPS_PREDICTIONS": conf.predictions,
        "MLOPS_RUN_ID": run_id,
        # Engines call this interpreter by its path: the command needs `mlops` from its folder.
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        # The copy's package takes precedence over the installed one.
        "PYTHONPATH": f"{folder / 'src'}:{os.environ.get('PYTHONPATH', '')}".rstrip(":"),
    }
    if date:
        variables["MLOPS_DATE"] = date
    if "MLOPS_GIT_SHA" not in os.environ and (commit := sha(conf.root)):
        variables["MLOPS_GIT_SHA"] = commit
    return variables


def _stop(*_: object) -> None:
    import psutil

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    for child in psutil.wait_procs(children, timeout=20)[1]:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    raise SystemExit(128 + signal.SIGTERM)


def _files(root: Path) -> Iterable[Path]:
    """Return the files that Git tracks or would track; without Git, those not in .gitignore."""
    listed = ask(root, "ls-files", "-coz", "--exclude-standard")
    if listed is not None:
        files = (Path(name) for name in listed.split("\0") if name)
        return (file for file in files if (root / file).is_file() or (root / file).is_symlink())
    return _not_ignored(root)


def _not_ignored(root: Path) -> Iterator[Path]:
    from dulwich.ignore import IgnoreFilterManager

    ignored = IgnoreFilterManager(str(root), [], ignorecase=False).is_ignored
    never = {".git", ".venv", ".dvc/cache", ".dvc/tmp", ".dvc/config.local"}
    for parent, folders, files in os.walk(root):
        here = Path(parent).relative_to(root)
        names = {name: (here / name).as_posix() for name in [*folders, *files]}
        folders[:] = [
            name for name in folders if names[name] not in never and not ignored(names[name] + "/")
        ]
        yield from (
            here / name for name in files if names[name] not in never and not ignored(names[name])
        )


def _configure(root: Path, folder: Path) -> None:
    """Configure DVC in the copy with the remotes of the repo, and its files inside the copy."""
    from dvc.config import Config, merge

    # DVC needs the user's name and home, and a container's numeric user has neither.
    os.environ.setdefault("USER", str(os.getuid()))
    os.environ.setdefault("HOME", str(folder))
    own = Config(str(root / ".dvc")).read()  # reading makes relative URLs absolute
    with Config(str(folder / ".dvc")).edit("local") as local:
        merge(local, own)
        merge(
            local,
            {
                "core": {"no_scm": True, "site_cache_dir": str(folder / ".dvc/site")},
                "cache": {"dir": str(folder / ".dvc/cache"), "type": "reflink,hardlink,copy"},
            },
        )
        if url := os.environ.get("MLOPS_DVC_REMOTE"):
            merge(local, {"core": {"remote": "mlops"}, "remote": {"mlops": {"url": url}}})
