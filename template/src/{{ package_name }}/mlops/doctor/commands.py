"""The command `mlops doctor`."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def doctor(
    checks: Annotated[
        list[str] | None,
        typer.Argument(
            help="conflicts, graph, tools, services, origin, folder, template, drift; default: all."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Report what is wrong, where, and what to type.

    Exit codes: 0 all is well; 1 something must be fixed; 3 everything works, but there is advice,
    such as a newer release of the platform.
    """
    from . import doctor

    raise typer.Exit(doctor.run(checks or [], as_json))
