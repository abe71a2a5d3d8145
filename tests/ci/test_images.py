"""Images of a repo: one per component, and one for an engine that stores schedules itself."""

import json
import os
import re
import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

ENGINES = ("airflow", "argo", "kubeflow", "temporal")
# A stand-in for buildah: logs its calls, and writes the digest file of a push.
BUILDAH = f"""\
#!/bin/sh
echo "$*" >> "${{0%/*}}/calls"
case $1 in push) printf sha256:{"0" * 64} > "$3" ;; esac
"""


@pytest.fixture(params=ENGINES)
def repo(
    request: pytest.FixtureRequest, render: Callable[..., Path], git: Callable[..., str]
) -> Path:
    return _committed(render({"orchestrator": request.param, "components": ["stream"]}), git)


def test_only_an_engine_that_stores_schedules_has_an_image(repo: Path, tmp_path: Path) -> None:
    tool = tmp_path / "buildah"
    tool.write_text(BUILDAH)
    tool.chmod(0o755)

    def images(*options: str) -> subprocess.CompletedProcess[str]:
        words = ["make", "images", f"CONTAINER_TOOL={tool}", "IMAGE_PREFIX=a.example/b", *options]
        return subprocess.run(words, cwd=repo, capture_output=True, text=True, check=False)

    engine = any(repo.glob("orchestration/*/schedule.py"))
    done = images("PUSH=1")
    assert done.returncode == 0, done.stdout + done.stderr
    built = re.findall(r"^build .*--target (\S+)", (tmp_path / "calls").read_text(), re.MULTILINE)
    assert built == [*(["engine"] if engine else []), "notebook", "pipeline", "serve"]
    pushed = json.loads((repo / "images.json").read_text())
    assert pushed == {name: f"a.example/b/{name}@sha256:{'0' * 64}" for name in built}
    done = images("TARGET=engine")
    assert (done.returncode == 0) == engine
    assert engine or "this repo has the images notebook pipeline serve" in done.stderr


PROGRAMS = "awk cat cut git grep head make mktemp mv rm sh sort"
# A portable sed: only GNU sed reads \n in a replacement as a newline.
SED = """\
#!/bin/sh
case "$*" in *'\\n'*) echo "sed: no line ends here: $*" >&2; exit 1 ;; esac
exec {sed} "$@"
"""


@pytest.mark.parametrize("tool", ["podman", "buildah"])
def test_the_only_installed_container_tool_is_used(
    render: Callable[..., Path], git: Callable[..., str], tmp_path: Path, tool: str
) -> None:
    repo = _committed(render({"components": []}), git)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS.split():
        (programs / name).symlink_to(str(shutil.which(name)))
    sed = SED.format(sed=shutil.which("sed"))
    for name, text in {tool: BUILDAH, "sed": sed, "uv": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["make", "images", "TARGET=pipeline", "IMAGE_PREFIX=a.example/b", "PUSH=1"],
        cwd=repo,
        env={**os.environ, "PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (programs / "calls").read_text().startswith("build --file docker/Dockerfile")
    pushed = json.loads((repo / "images.json").read_text())
    assert pushed == {"pipeline": f"a.example/b/pipeline@sha256:{'0' * 64}"}


def _committed(repo: Path, git: Callable[..., str]) -> Path:
    (repo / "uv.lock").touch()
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Start")
    return repo


@pytest.mark.parametrize("first", [False, True])
def test_notebooks_share_one_complete_copy_of_the_repo(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Two notebooks may start at once on a volume; an interrupted copy must not be left behind."""
    work = tmp_path / "work"

    def copytree(source: str, copy: Path, **_: Any) -> None:
        copy.mkdir()
        (copy / "ours").touch()
        assert not work.exists()
        if first:
            work.mkdir()
            (work / "theirs").touch()

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("shutil.copytree", copytree)
    config = root / "template/docker/jupyter_server_config.py"
    runpy.run_path(str(config), {"get_config": mock.MagicMock})
    assert [file.name for file in work.iterdir()] == ["theirs" if first else "ours"]
    assert [*tmp_path.iterdir()] == [work]
