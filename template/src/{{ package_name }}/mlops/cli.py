"""The `mlops` command line. Commands import their modules when they run: `--help` stays fast."""

import os
import select
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
import typer.core

from . import crash
from .errors import Problem


class Crash(Exception):
    """Carries, as its cause, an exception that Typer would otherwise handle itself."""


class Commands(typer.core.TyperGroup):
    """The commands; their exceptions reach `main`."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; hide from Typer the exceptions that it would handle itself."""
        try:
            return super().invoke(ctx)
        except (EOFError, OSError) as error:  # Typer prints "Aborted.", or nothing
            raise Crash from error


app = typer.Typer(
    name="mlops",
    cls=Commands,
    help="The platform's commands. `make help` lists those to type; dvc.yaml calls the stages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PARTS = (
    "data",
    "training",
    "runner",
    "registry",
    "doctor",
    "batch",
    "monitoring",
    "ci",
    "dashboard",
    "release",
    "serving",
)
"""Parts with commands. A component that the repo does not include has no folder."""

for _part in PARTS:
    if find_spec(f".{_part}", __package__):
        app.add_typer(import_module(f".{_part}.commands", __package__).app)


@app.command("settings", hidden=True)
def show_setting(name: Annotated[str, typer.Argument()]) -> None:
    """Print one setting, for the Makefile."""
    from .settings import settings

    print(getattr(settings(), name))


def main() -> None:
    """Run a command; a Problem becomes one line on stderr and exit code 1, never a traceback."""
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    command = f"mlops {next((word for word in sys.argv[1:] if not word.startswith('-')), '')}"
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except Problem as problem:
        print(f"{command}: {problem}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        cause = (error.__cause__ if isinstance(error, Crash) else None) or error
        if isinstance(cause, BrokenPipeError) and _unread():
            raise SystemExit(141) from None
        crash.report(command, cause)
        raise SystemExit(1) from None


def _unread() -> bool:
    """True if nobody reads standard output, as after `mlops lineage 1 | head`."""
    try:
        stdout = sys.stdout.fileno()
    except OSError:  # not a file, as in a notebook
        return False
    reader = select.poll()
    reader.register(stdout, 0)
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in reader.poll(0)):
        # Python flushes once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
        return True
    return False
