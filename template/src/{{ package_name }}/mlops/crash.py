"""Show an unexpected exception: the team's lines of the traceback, and where the rest is.

Standard library only, because update.py imports it.
"""

import os
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

PLATFORM = Path(__file__).resolve().parent
PACKAGE = PLATFORM.parent
REPO = PACKAGE.parents[1]
SAVED = Path(".cache/mlops/traceback.txt")
MODEL_FILES = ("__init__.py", "model.py", "schema.py")
MAX_LINES = 5


def report(command: str, error: BaseException) -> None:
    """Print the error and the lines of the team's code that led to it, to stderr.

    On a terminal, the full traceback goes to a file that git ignores. In the log of an engine or
    of CI, it is printed before these lines.
    """
    trace = traceback.TracebackException.from_exception(error)
    trace.stack = traceback.StackSummary.from_list(_below_typer(trace.stack))
    full, place = "".join(trace.format()), ""
    if sys.stderr.isatty() and not os.environ.get("MLOPS_RUN_ID"):
        place = _save(full)
    else:
        print(full, file=sys.stderr)
    print(
        "\n".join([f"{command}: {_summary(error)}", *_lines(error, trace.stack)]), file=sys.stderr
    )
    if place:
        print(f"  full traceback: {place}", file=sys.stderr)


def _below_typer(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Return the frames below those of the command line."""
    frames = list(stack)
    while len(frames) > 1 and _is_command_line(Path(frames[0].filename)):
        del frames[0]
    return frames


def _is_command_line(file: Path) -> bool:
    _, _, library = file.as_posix().rpartition("/site-packages/")
    return file == PLATFORM / "cli.py" or library.startswith(("typer/", "click/"))


def _is_team_code(file: str) -> bool:
    path = Path(file).resolve()
    if path.is_relative_to(PLATFORM) or "site-packages" in path.parts:
        return False
    return path.is_relative_to(REPO) or path.is_relative_to(PACKAGE)


def _summary(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    lines = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()
    return "\n".join([*lines[:MAX_LINES], *(["  …"] if len(lines) > MAX_LINES else [])])


def _lines(error: BaseException, stack: traceback.StackSummary) -> list[str]:
    frames = [frame for frame in stack if _is_team_code(frame.filename)]
    lines = [
        f"  {_place(frame)}, in {frame.name}\n    {frame.line}" for frame in frames[-MAX_LINES:]
    ]
    if isinstance(error, SyntaxError) and error.filename:
        lines.append(f"  {_short(error.filename)}:{error.lineno}\n    {(error.text or '').strip()}")
    if not lines and stack:
        lines.append(f"  {_place(stack[-1])}, in {stack[-1].name}; none of your code is involved")
    if isinstance(error, ModuleNotFoundError) and error.name:
        lines += _advice(error.name.partition(".")[0], frames)
    return lines


def _advice(module: str, frames: list[traceback.FrameSummary]) -> list[str]:
    if module == PACKAGE.name or find_spec(module):
        return []
    if not frames:
        return [f"  {module} is not installed: type make setup"]
    in_model = Path(frames[-1].filename).name in MODEL_FILES
    where = "dependencies" if in_model else "the dependency group pipeline"
    return [
        f"  add the package that provides {module} to {where} in pyproject.toml; then: make setup"
    ]


def _place(frame: traceback.FrameSummary) -> str:
    return f"{_short(frame.filename)}:{frame.lineno}"


def _short(file: str) -> str:
    path = Path(file).resolve()
    return str(path.relative_to(REPO) if path.is_relative_to(REPO) else path)


def _save(text: str) -> str:
    """Write the traceback next to the repo's other caches; return its path."""
    try:
        SAVED.parent.mkdir(parents=True, exist_ok=True)
        SAVED.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        return f"not saved ({error})"
    return str(SAVED)
