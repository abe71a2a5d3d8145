"""`mlops`: one command a verb. Each imports its module when it runs, so `--help` is quick."""

import os
import select
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any

import typer
import typer.core

from . import crash, verbs
from .errors import Problem


class Crash(Exception):
    """Holds, as its cause, an exception that Typer takes for its own."""


class Verbs(typer.core.TyperGroup):
    """The commands; what they raise arrives at `main`."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (EOFError, OSError) as error:  # "Aborted.", and silence where a connection broke
            raise Crash from error


app = typer.Typer(
    name="mlops",
    cls=Verbs,
    help="The platform's verbs. `make help` lists what people type; dvc.yaml calls the stages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

STAGES = {
    "ingest": "Bring the raw tables in and check each row.",
    "features": "Compute the tables that Feast serves.",
    "dataset": "Join examples and features point in time; split by time.",
    "train": "Fit the model.",
    "evaluate": "Judge the model on rows later than any it has seen.",
    "gate": "Decide whether the model may be registered; fails where a rule does.",
    "register": "Register the model in MLflow, with its lineage and card.",
}


def _add(name: str, about: str, panel: str) -> None:
    @app.command(name, help=about, rich_help_panel=panel)
    def stage() -> None:
        import_module(f".{name}", __package__).run()


for _name, _about in STAGES.items():
    _add(_name, _about, "Stages of dvc.yaml")


@app.command()
def tune(
    trials: Annotated[int | None, typer.Option(min=1, help="How many in all.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the best into params.yaml.")] = False,
) -> None:
    """Search better parameters of `model`, as the section `tune` of params.yaml says."""
    try:
        from . import tune
    except ModuleNotFoundError as error:
        raise Problem(f"{error.name} is not installed: type `make setup`") from None
    tune.run(trials, write)


@app.command()
def graph(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if stale.")] = False,
) -> None:
    """Hand dvc.yaml to the engines: write orchestration/pipelines.json."""
    from . import graph

    graph.check() if check else graph.write()


@app.command()
def stage(
    address: Annotated[str, typer.Argument(help="A stage, as dvc.yaml calls it.")],
    run_id: Annotated[str, typer.Option(help="The run; the same for all of its stages.")],
    date: Annotated[str, typer.Option(help="$MLOPS_DATE: a day, or when the run is due.")] = "",
) -> None:
    """Run one stage as an engine's node does: in a folder of its own, by DVC's remote."""
    from . import stage

    stage.run(address, run_id, date)


@app.command()
def production(
    to: Annotated[Path | None, typer.Option(help="The folder; it is replaced as a whole.")] = None,
) -> None:
    """Fetch the model in production, or $MLOPS_MODEL_VERSION, and check its digest."""
    from . import production

    production.run(to or production.MODEL)


@app.command()
def lineage(
    version: Annotated[str, typer.Argument(help="The number of a registered version.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say where a registered version comes from: commit, data, parameters, metrics, gate."""
    from . import lineage

    lineage.show(version, as_json)


@app.command()
def doctor(
    checks: Annotated[
        list[str] | None,
        typer.Argument(
            help="conflicts, graph, tools, services, origin, folder, template, drift; none is all."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is wrong, where, and what to type.

    Exit codes: 0 all is well; 1 something must be mended; 3 all works, and there is advice, such as
    a newer release of the platform.
    """
    from . import doctor

    raise typer.Exit(doctor.run(checks or [], as_json))


for _module in iter_modules(verbs.__path__):
    app.add_typer(import_module(f"{verbs.__name__}.{_module.name}").app)


@app.command("settings", hidden=True)
def show_setting(name: Annotated[str, typer.Argument()]) -> None:
    """Print one setting, for the Makefile."""
    from .settings import settings

    print(getattr(settings(), name))


@app.command("check-outs", hidden=True)
def check_outs() -> None:
    """Refuse to go on where a stage's out holds a file of somebody's, for `make pipeline`."""
    from . import outs

    outs.check()


@app.command("tracking-uri", hidden=True)
def tracking_uri() -> None:
    """Print MLflow's address, for `make ui`; a database that was moved finds its files again."""
    from . import tracking
    from .settings import settings

    with tracking.connected():
        print(settings().tracking_uri)


def main() -> None:
    """Run a command; a Problem is a line on stderr and exit code 1, never a traceback."""
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
    """Whether nobody reads what is printed, as in `mlops lineage 1 | head`."""
    try:
        stdout = sys.stdout.fileno()
    except OSError:  # no file, as in a notebook
        return False
    reader = select.poll()
    reader.register(stdout, 0)
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in reader.poll(0)):
        # Python flushes once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
        return True
    return False
