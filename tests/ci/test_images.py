"""Which images a repo has: of its components, and one of an engine that keeps schedules itself."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ENGINES = ("airflow", "argo", "kubeflow", "temporal")
# It keeps what it is asked, and leaves of a push what buildah leaves.
BUILDAH = f"""\
#!/bin/sh
echo "$*" >> "${{0%/*}}/asked"
case $1 in push) printf sha256:{"0" * 64} > "$3" ;; esac
"""


@pytest.fixture(params=ENGINES)
def repo(
    request: pytest.FixtureRequest, render: Callable[..., Path], git: Callable[..., str]
) -> Path:
    repo = render({"orchestrator": request.param, "components": ["stream"]})
    (repo / "uv.lock").touch()
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Start")
    return repo


def test_an_engine_has_an_image_where_it_keeps_schedules_of_its_own(
    repo: Path, tmp_path: Path
) -> None:
    tool = tmp_path / "buildah"
    tool.write_text(BUILDAH)
    tool.chmod(0o755)

    def images(*options: str) -> subprocess.CompletedProcess[str]:
        words = ["make", "images", f"CONTAINER_TOOL={tool}", "IMAGE_PREFIX=a.example/b", *options]
        return subprocess.run(words, cwd=repo, capture_output=True, text=True, check=False)

    engine = any(repo.glob("orchestration/*/schedule.py"))
    done = images("PUSH=1")
    assert done.returncode == 0, done.stdout + done.stderr
    built = re.findall(r"^build .*--target (\S+)", (tmp_path / "asked").read_text(), re.MULTILINE)
    assert built == [*(["engine"] if engine else []), "notebook", "pipeline", "serve"]
    pushed = json.loads((repo / "images.json").read_text())
    assert pushed == {name: f"a.example/b/{name}@sha256:{'0' * 64}" for name in built}
    done = images("TARGET=engine")
    assert (done.returncode == 0) == engine
    assert engine or "this repo has the images notebook pipeline serve" in done.stderr
