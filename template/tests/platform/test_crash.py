"""An unexpected exception shows the team's lines, and where to read the full traceback."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

Run = Callable[..., str]


@pytest.fixture
def run(
    mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run `mlops train` with an action that raises; return stderr."""
    monkeypatch.chdir(tmp_path)

    def run(action: Callable[[], object], terminal: bool = True, code: int = 1) -> str:
        monkeypatch.setattr(mlops("training.train"), "run", lambda: _platform(action))
        monkeypatch.setattr(sys, "argv", ["mlops", "train"])
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        with pytest.raises(SystemExit) as ended:
            mlops("cli").main()
        assert ended.value.code == code
        return capsys.readouterr().err

    return run


def _platform(action: Callable[[], object]) -> None:
    action()


def _raise(error: BaseException) -> Callable[[], NoReturn]:
    def teams() -> NoReturn:
        raise error

    return teams


SAVED = Path(".cache/mlops/traceback.txt")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("origin"),
        EOFError("Ran out of input"),
        BrokenPipeError(32, "the server went away"),
        MemoryError(),
        OSError(28, "No space left on device"),
        ValueError("\n".join(["of many lines"] * 50)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_on_a_terminal_the_teams_lines_are_shown(run: Run, error: Exception) -> None:
    first, *lines = run(_raise(error)).splitlines()
    assert first.startswith(f"mlops train: {type(error).__name__}")
    assert len(lines) < 15
    assert "tests/platform/test_crash.py" in "\n".join(lines)
    assert "    raise error" in lines
    assert not any("typer" in line or "Traceback" in line for line in lines)
    assert str(SAVED) in lines[-1]
    text = SAVED.read_text()
    assert text.startswith("Traceback")
    assert "raise error" in text
    assert "typer" not in text


@pytest.mark.parametrize("terminal", [False, True], ids=["log", "stage of an engine"])
def test_a_log_has_the_full_traceback(
    run: Run, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_RUN_ID", "a run") if terminal else None
    stderr = run(_raise(KeyError("origin")), terminal)
    assert stderr.startswith("Traceback")
    assert "typer" not in stderr
    assert "mlops train: KeyError: 'origin'" in stderr.splitlines()
    assert not SAVED.exists()


@pytest.mark.parametrize(
    ("module", "group"), [("model", "to dependencies"), ("features", "group pipeline")]
)
def test_a_missing_package_error_says_where_to_add_it(
    run: Run, mlops: Any, monkeypatch: pytest.MonkeyPatch, module: str, group: str
) -> None:
    code = compile(
        "import no_such_package.deep\n", str(mlops("crash").PACKAGE / f"{module}.py"), "exec"
    )
    stderr = run(lambda: exec(code))
    assert f"{module}.py:1, in <module>" in stderr
    assert "no_such_package" in stderr.splitlines()[-2]
    assert group in stderr.splitlines()[-2]
    assert "make setup" in stderr.splitlines()[-2]


def test_a_syntax_error_is_shown(run: Run, mlops: Any) -> None:
    file = mlops("crash").PACKAGE / "features.py"
    stderr = run(lambda: compile("def build(:\n", str(file), "exec"))
    assert "mlops train: SyntaxError: invalid syntax" in stderr
    assert "src/" in stderr
    assert "features.py:1\n" in stderr


def test_an_interrupt_and_a_problem_are_not_crashes(run: Run, mlops: Any) -> None:
    assert run(_raise(KeyboardInterrupt()), code=130) == ""
    assert run(_raise(mlops("errors").Problem("what is wrong"))) == "mlops train: what is wrong\n"
    assert not SAVED.exists()


def test_a_closed_pipe_ends_the_command_silently(mlops: Any) -> None:
    """As in `mlops … | head -n 1`: the command ends silently."""
    cli = mlops("cli")
    command = [sys.executable, "-c", f"from {cli.__package__}.cli import main; main()", "--help"]
    source, sink = os.pipe()
    os.close(source)
    with os.fdopen(sink, "w") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode
    assert done.stderr == ""
