"""`.ci/run` installs the packages that the tests need, as root or as a user with sudo."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[[str], list[str]]

# Each stand-in logs its calls, preceded by its variables.
LOG_CALL = 'echo "${DEBIAN_FRONTEND:-} ${RUNLEVEL:-} ${0##*/} $*" >> "${0%/bin/*}/calls"\n'
STAND_INS = {"make": "", "apt-get": "", "sudo": 'exec "$@"\n', "go": ""}


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Run:
    """Run `.ci/run` without a cluster, with only stand-ins on the PATH; return their calls."""
    folder, programs = tmp_path / "checkout", tmp_path / "bin"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(root / ".ci/run", folder / ".ci")
    programs.mkdir()
    for name in ("bash", "dirname", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))

    def start(user: str) -> list[str]:
        bodies = {name: LOG_CALL + body for name, body in STAND_INS.items()}
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
        return [line.strip() for line in (tmp_path / "calls").read_text().splitlines()]

    return start


def test_packages_are_installed_by_root(run: Run) -> None:
    calls = run("0")
    assert not [line for line in calls if "sudo" in line]
    _installed(calls)


def test_packages_are_installed_by_a_user_with_sudo(run: Run) -> None:
    calls = run("1001")
    by_sudo = [line.split(" apt-get ")[1] for line in calls if line.startswith("sudo ")]
    assert by_sudo == [line.split(" apt-get ")[1] for line in _installed(calls)]


def _installed(calls: list[str]) -> list[str]:
    """Check the calls of apt-get, which must not prompt or start a server, and return them."""
    apt = [line for line in calls if line.startswith("noninteractive 1 apt-get ")]
    assert [line.split()[-1] for line in apt] == ["update", "chromium", "redis-server", "wrk"]
    assert all("--yes" in line for line in apt[1:])
    assert calls[-1] == "make test"
    return apt
