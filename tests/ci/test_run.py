"""`.ci/run` brings what the tests need, whoever runs it: root, or a runner's user who has sudo."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[[str], list[str]]

# Each keeps what it was asked, with its variables before it.
ASKED = 'echo "${DEBIAN_FRONTEND:-} ${RUNLEVEL:-} ${0##*/} $*" >> "${0%/bin/*}/asked"\n'
STAND_INS = {"make": "", "apt-get": "", "sudo": 'exec "$@"\n', "go": ""}


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Run:
    """Run it beside no cluster, on a machine with stand-ins alone; what they were asked."""
    folder, programs = tmp_path / "checkout", tmp_path / "bin"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(root / ".ci/run", folder / ".ci")
    programs.mkdir()
    for name in ("bash", "dirname", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))

    def start(user: str) -> list[str]:
        bodies = {name: ASKED + body for name, body in STAND_INS.items()}
        for name, body in (bodies | {"id": f"echo {user}\n"}).items():
            (programs / name).write_text(f"#!{programs}/bash\n{body}")
            (programs / name).chmod(0o755)
        done = subprocess.run(
            [str(folder / ".ci/run")],
            env={"PATH": str(programs)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [line.strip() for line in (tmp_path / "asked").read_text().splitlines()]

    return start


def test_packages_are_installed_by_root(run: Run) -> None:
    asked = run("0")
    assert not [line for line in asked if "sudo" in line]
    _installed(asked)


def test_packages_are_installed_by_a_runners_user(run: Run) -> None:
    asked = run("1001")
    by_sudo = [line.split(" apt-get ")[1] for line in asked if line.startswith("sudo ")]
    assert by_sudo == [line.split(" apt-get ")[1] for line in _installed(asked)]


def _installed(asked: list[str]) -> list[str]:
    """The calls of apt-get, which are quiet, start no server, and are the right ones."""
    calls = [line for line in asked if line.startswith("noninteractive 1 apt-get ")]
    assert [line.split()[-1] for line in calls] == ["update", "chromium", "redis-server", "wrk"]
    assert all("--yes" in line for line in calls[1:])
    assert asked[-1] == "make test"
    return calls
