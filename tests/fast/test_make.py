"""What the commands of a repo do where an answer or a variable decides it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# Keeps what it is asked, and answers for the settings.
UV = """\
#!/bin/sh
case "$*" in
  "sync "*) mkdir -p "${UV_PROJECT_ENVIRONMENT:-.venv}" ;;
  *" mlops tracking-uri") echo "${MLFLOW_TRACKING_URI:-$SETTING}" ;;
esac
echo "$*" >> asked
env | grep -E '^(UV|VIRTUAL|MLOPS)_' | sort >> asked
"""


@pytest.mark.parametrize(
    ("setting", "variable", "served", "said"),
    [
        ("sqlite:///.mlflow/a.db", None, "sqlite:///.mlflow/a.db", None),
        ("https://mlflow.example.com", "sqlite:///b.db", "sqlite:///b.db", None),
        ("https://mlflow.example.com/a", None, None, "https://mlflow.example.com/a"),
        ("sqlite:///.mlflow/a.db", "http://me:secret@mlflow:5000", None, "http://mlflow:5000"),
    ],
)
def test_mlflows_pages_are_those_of_its_server_where_there_is_one(
    render: Callable[..., Path],
    tmp_path: Path,
    setting: str,
    variable: str | None,
    served: str | None,
    said: str | None,
) -> None:
    repo = render({})
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SETTING": setting}
    env |= {"MLFLOW_TRACKING_URI": variable} if variable else {}
    done = subprocess.run(["make", "ui"], cwd=repo, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    asked = [line for line in (repo / "asked").read_text().splitlines() if "mlflow ui" in line]
    command = "run --frozen mlflow ui --backend-store-uri"
    assert asked == ([f"{command} {served}"] if served else [])
    opened = [line for line in done.stdout.splitlines() if line.startswith("Open in a browser:")]
    assert [line.split()[-1] for line in opened] == ([said] if said else [])


def test_variables_of_uv_that_a_person_has_do_no_harm(
    render: Callable[..., Path], tmp_path: Path
) -> None:
    """An environment elsewhere is used; what would leave out the lock or tools is not."""
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
    asked = (repo / "asked").read_text().splitlines()
    assert "lock" in asked
    assert not [line for line in asked if line.startswith(("VIRTUAL_ENV", "UV_FROZEN", "UV_NO"))]
    assert f"UV_PROJECT_ENVIRONMENT={elsewhere}" in asked
    assert f"UV_PROJECT_ENVIRONMENT={elsewhere}/engine" in asked
    assert f"MLOPS_BIN={elsewhere}/bin" in asked
    assert not (repo / ".venv").exists()


def test_lint_and_format_look_at_the_same_notebooks(
    render: Callable[..., Path], tmp_path: Path
) -> None:
    """In folders and files that nbdev by itself passes over, too; only a leading dot hides one."""
    repo, book = render({}), "notebooks/_drafts/a b.ipynb"
    (repo / book).parent.mkdir()
    (repo / "notebooks/explore.ipynb").rename(repo / book)
    (repo / "notebooks/.hidden.ipynb").touch()
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for target in ("format", "lint"):
        subprocess.run(["make", target], cwd=repo, env=env, capture_output=True, check=False)
    asked = (repo / "asked").read_text().splitlines()
    assert [line.split("nbdev-clean ")[1] for line in asked if "nbdev-clean" in line] == [
        f"--fname {book}",
        f"--disp --fname {book}",
    ]


# Runs until SIGTERM whatever is not over at once.
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
def test_what_runs_long_ends_before_make_does(
    render: Callable[..., Path], tmp_path: Path, engine: str
) -> None:
    """A SIGTERM to make alone, as a supervisor sends it."""
    repo, state = render({"orchestrator": engine}), tmp_path / "state"
    (tmp_path / "uv").write_text(LONG.replace("> state", f"> {state}"))
    (tmp_path / "uv").chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    stayed = []
    for target in ENGINES[engine]:
        state.write_text("")
        make = subprocess.Popen(["make", target], cwd=repo, env=env, start_new_session=True)
        while not state.read_text():
            assert make.poll() is None, target
            time.sleep(0.01)
        make.send_signal(signal.SIGTERM)
        make.wait(30)
        if state.read_text() != "ended\n":
            stayed.append(target)
            os.killpg(make.pid, signal.SIGKILL)
    assert stayed == []
