"""Make targets of a repo whose behavior depends on an answer or an environment variable."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# A stand-in for uv: logs its calls and its environment, and prints the tracking URI.
UV = """\
#!/bin/sh
case "$*" in
  "sync "*) mkdir -p "${UV_PROJECT_ENVIRONMENT:-.venv}" ;;
  *" mlops tracking-uri") echo "${MLFLOW_TRACKING_URI:-$SETTING}" ;;
esac
echo "$*" >> calls
env | grep -E '^(UV|VIRTUAL|MLOPS)_' | sort >> calls
"""


@pytest.mark.parametrize(
    ("setting", "variable", "served", "opened"),
    [
        ("sqlite:///.mlflow/a.db", None, "sqlite:///.mlflow/a.db", None),
        ("https://mlflow.example.com", "sqlite:///b.db", "sqlite:///b.db", None),
        ("https://mlflow.example.com/a", None, None, "https://mlflow.example.com/a"),
        ("sqlite:///.mlflow/a.db", "http://me:secret@mlflow:5000", None, "http://mlflow:5000"),
    ],
)
def test_make_ui_starts_mlflow_unless_there_is_a_server(
    render: Callable[..., Path],
    tmp_path: Path,
    setting: str,
    variable: str | None,
    served: str | None,
    opened: str | None,
) -> None:
    repo = render({})
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SETTING": setting}
    env |= {"MLFLOW_TRACKING_URI": variable} if variable else {}
    done = subprocess.run(["make", "ui"], cwd=repo, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    calls = [line for line in (repo / "calls").read_text().splitlines() if "mlflow ui" in line]
    command = "run --frozen mlflow ui --backend-store-uri"
    assert calls == ([f"{command} {served}"] if served else [])
    hints = [line for line in done.stdout.splitlines() if line.startswith("Open in a browser:")]
    assert [line.split()[-1] for line in hints] == ([opened] if opened else [])


def test_a_users_uv_variables_do_no_harm(render: Callable[..., Path], tmp_path: Path) -> None:
    """Use an environment elsewhere, but ignore variables that would skip the lock or the tools."""
    repo = render({}).rename(tmp_path / "a folder é")
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    elsewhere = tmp_path / "an environment"
    harm = ("FROZEN", "LOCKED", "NO_SYNC", "NO_DEV", "NO_EDITABLE", "PROJECT", "NO_PROJECT")
    env = os.environ | {f"UV_{name}": "1" for name in harm} | {"VIRTUAL_ENV": "/opt/another"}
    env |= {"UV_PROJECT_ENVIRONMENT": str(elsewhere), "UV_INDEX_URL": "https://example.com"}
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    for target in ("setup", "graph", "orchestrate"):
        command = ["make", "-j2", "-C", str(repo), target]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    calls = (repo / "calls").read_text().splitlines()
    assert "lock" in calls
    assert not [line for line in calls if line.startswith(("VIRTUAL_ENV", "UV_FROZEN", "UV_NO"))]
    assert f"UV_PROJECT_ENVIRONMENT={elsewhere}" in calls
    assert f"UV_PROJECT_ENVIRONMENT={elsewhere}/engine" in calls
    assert f"MLOPS_BIN={elsewhere}/bin" in calls
    assert not (repo / ".venv").exists()


def test_lint_and_format_cover_the_same_notebooks(
    render: Callable[..., Path], tmp_path: Path
) -> None:
    """Only a leading dot hides a notebook; other names that nbdev skips by default are included."""
    repo, book = render({}), "notebooks/_drafts/a b.ipynb"
    (repo / book).parent.mkdir()
    (repo / "notebooks/explore.ipynb").rename(repo / book)
    (repo / "notebooks/.hidden.ipynb").touch()
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for target in ("format", "lint"):
        subprocess.run(["make", target], cwd=repo, env=env, capture_output=True, check=False)
    calls = (repo / "calls").read_text().splitlines()
    assert [line.split("nbdev-clean ")[1] for line in calls if "nbdev-clean" in line] == [
        f"--fname {book}",
        f"--disp --fname {book}",
    ]


# A stand-in for uv: commands that do not end at once run until SIGTERM.
LONG = """\
#!/bin/sh
case "$*" in
  lock | "sync "*) mkdir -p .venv; exit ;;
  *" mlops tracking-uri") echo sqlite:///a.db; exit ;;
  *" mlops graph --check") exit ;;
esac
trap 'sleep 0.2; echo ended > state; exit' TERM
echo "$*" > state
while :; do sleep 0.05; done
"""
ENGINES = {
    "airflow": ("serve", "dashboard", "ui", "notebook", "orchestrate", "engine-ui"),
    "kubeflow": ("orchestrate",),
    "temporal": ("orchestrate",),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_long_running_commands_end_before_make(
    render: Callable[..., Path], tmp_path: Path, engine: str
) -> None:
    """Send SIGTERM only to make, as a supervisor does."""
    repo, state = render({"orchestrator": engine}), tmp_path / "state"
    (tmp_path / "uv").write_text(LONG.replace("> state", f"> {state}"))
    (tmp_path / "uv").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    survivors = []
    for target in ENGINES[engine]:
        state.write_text("")
        make = subprocess.Popen(["make", target], cwd=repo, env=env, start_new_session=True)
        while not state.read_text():
            assert make.poll() is None, target
            time.sleep(0.01)
        make.send_signal(signal.SIGTERM)
        make.wait(30)
        if state.read_text() != "ended\n":
            survivors.append(target)
            os.killpg(make.pid, signal.SIGKILL)
    assert survivors == []
