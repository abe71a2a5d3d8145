"""What people see of an exception that is no Problem: their lines of it, and where the rest is.

Needs Python alone, as update.py does, which imports it.
"""

import os
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

PLATFORM = Path(__file__).resolve().parent
PACKAGE = PLATFORM.parent
REPO = PACKAGE.parents[1]
KEPT = Path(".cache/mlops/traceback.txt")
OF_THE_MODEL = ("__init__.py", "model.py", "schema.py")
SHOWN = 5


def report(command: str, error: BaseException) -> None:
    """Print the error and the lines of the team's modules that lead to it, to stderr.

    On a terminal the whole traceback goes to a file that git ignores; into the log of an engine or
    of CI it is printed, and the lines come last.
    """
    trace = traceback.TracebackException.from_exception(error)
    trace.stack = traceback.StackSummary.from_list(_below_typer(trace.stack))
    whole, rest = "".join(trace.format()), ""
    if sys.stderr.isatty() and not os.environ.get("MLOPS_RUN_ID"):
        rest = _keep(whole)
    else:
        print(whole, file=sys.stderr)
    print("\n".join([f"{command}: {_about(error)}", *_lines(error, trace.stack)]), file=sys.stderr)
    if rest:
        print(f"  the whole traceback: {rest}", file=sys.stderr)


def _below_typer(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """The frames after those of the command line."""
    frames = list(stack)
    while len(frames) > 1 and _of_the_command_line(Path(frames[0].filename)):
        del frames[0]
    return frames


def _of_the_command_line(file: Path) -> bool:
    _, _, library = file.as_posix().rpartition("/site-packages/")
    return file == PLATFORM / "cli.py" or library.startswith(("typer/", "click/"))


def _teams(file: str) -> bool:
    path = Path(file).resolve()
    if path.is_relative_to(PLATFORM) or "site-packages" in path.parts:
        return False
    return path.is_relative_to(REPO) or path.is_relative_to(PACKAGE)


def _about(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    lines = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()
    return "\n".join([*lines[:SHOWN], *(["  …"] if len(lines) > SHOWN else [])])


def _lines(error: BaseException, stack: traceback.StackSummary) -> list[str]:
    frames = [frame for frame in stack if _teams(frame.filename)]
    lines = [f"  {_place(frame)}, in {frame.name}\n    {frame.line}" for frame in frames[-SHOWN:]]
    if isinstance(error, SyntaxError) and error.filename:
        lines.append(f"  {_short(error.filename)}:{error.lineno}\n    {(error.text or '').strip()}")
    if not lines and stack:
        lines.append(f"  {_place(stack[-1])}, in {stack[-1].name}; no code of yours is in it")
    if isinstance(error, ModuleNotFoundError) and error.name:
        lines += _missing(error.name.partition(".")[0], frames)
    return lines


def _missing(module: str, frames: list[traceback.FrameSummary]) -> list[str]:
    if module == PACKAGE.name or find_spec(module):
        return []
    if not frames:
        return [f"  {module} is not installed: type make setup"]
    of_model = Path(frames[-1].filename).name in OF_THE_MODEL
    where = "dependencies" if of_model else "the dependency group pipeline"
    return [f"  add the package that has {module} to {where} in pyproject.toml; then: make setup"]


def _place(frame: traceback.FrameSummary) -> str:
    return f"{_short(frame.filename)}:{frame.lineno}"


def _short(file: str) -> str:
    path = Path(file).resolve()
    return str(path.relative_to(REPO) if path.is_relative_to(REPO) else path)


def _keep(text: str) -> str:
    """Write the traceback beside the repo's other caches; return where."""
    try:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        return f"not kept ({error})"
    return str(KEPT)
