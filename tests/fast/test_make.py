"""What the commands of a repo do where an answer or a variable decides it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

# Keeps what it is asked, and answers for the settings.
UV = """\
#!/bin/sh
case "$*" in
  "sync "*) mkdir -p .venv ;;
  *" mlops settings tracking_uri") echo "$SETTING" ;;
esac
echo "$*" >> asked
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
