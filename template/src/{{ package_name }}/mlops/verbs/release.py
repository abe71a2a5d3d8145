"""The verbs of a release: what runs in which environment."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

PANEL = "Releases in deploy/envs/"
Base = Annotated[str, typer.Option(help="The branch that is released; by default origin's.")]


@app.command(rich_help_panel=PANEL)
def promote(
    to: Annotated[str, typer.Option(help="The environment that changes.")],
    source: Annotated[str, typer.Option("--from", help="The one that runs it already.")] = "",
    version: Annotated[str, typer.Option(help="By default the champion.")] = "",
    images: Annotated[Path | None, typer.Option(help="The images.json of `make images`.")] = None,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="Even a model of a tree that no commit holds.")
    ] = False,
    base: Base = "",
) -> None:
    """Propose to release what another environment runs; to the first one, what is registered."""
    from .. import promote

    promote.promote(to, source, version, images, base, dirty)


@app.command(rich_help_panel=PANEL)
def rollback(
    env: Annotated[str, typer.Option(help="The environment that changes.")],
    to: Annotated[str, typer.Option(help="A commit; by default the release before.")] = "",
    base: Base = "",
) -> None:
    """Propose to release what an environment ran before."""
    from .. import promote

    promote.rollback(env, to, base)


@app.command(rich_help_panel=PANEL)
def status(
    base: Base = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what runs where: model version, gate, age and images."""
    from .. import status

    status.show(base, as_json)
