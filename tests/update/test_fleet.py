"""The fleet benchmark runs as a command, and fails if an update overwrites a team's work."""

import os
import subprocess
import sys
from pathlib import Path

import fleet
import pytest


def test_a_small_fleet_is_updated(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/fleet.py", "--repos", "2"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": "tests/lib"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lines lost: 0 (must be 0)" in done.stdout


def test_a_fleet_whose_edits_are_overwritten_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    timed = fleet._timed

    def overwrite(repo: Path, command: str, *options: str) -> fleet.Cost:
        if command == "update":
            return timed(repo, "recopy", "--overwrite", *options)
        return timed(repo, command, *options)

    monkeypatch.setattr(fleet, "_timed", overwrite)
    report = fleet.run(3, 1, tmp_path)
    assert report.complaints["lines lost"]
    monkeypatch.setattr(fleet, "run", lambda *_: report)
    monkeypatch.setattr(sys, "argv", ["fleet.py"])
    monkeypatch.setattr(os, "environ", dict(os.environ))  # main() changes it for good
    assert fleet.main() == 1
    assert "FAIL  " in capsys.readouterr().out
