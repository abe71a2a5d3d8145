"""Commands for releases to the environments."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

PANEL = "Releases in deploy/envs/"
Base = Annotated[str, typer.Option(help="Branch that the environments follow; default: origin's.")]


@app.command(rich_help_panel=PANEL)
def promote(
    to: Annotated[str, typer.Option(help="Environment to release to.")],
    source: Annotated[str, typer.Option("--from", help="Environment to take it from.")] = "",
    version: Annotated[str, typer.Option(help="Model version; default: the champion.")] = "",
    images: Annotated[Path | None, typer.Option(help="images.json of `make images`.")] = None,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="Allow a model trained with uncommitted changes.")
    ] = False,
    base: Base = "",
) -> None:
    """Propose a release from another environment or, to the first one, from the registry."""
    from . import promote

    promote.promote(to, source, version, images, base, dirty)


@app.command(rich_help_panel=PANEL)
def rollback(
    env: Annotated[str, typer.Option(help="Environment to roll back.")],
    to: Annotated[str, typer.Option(help="Commit; default: the previous release.")] = "",
    base: Base = "",
) -> None:
    """Propose to roll an environment back to an earlier release."""
    from . import promote

    promote.rollback(env, to, base)


@app.command(rich_help_panel=PANEL)
def status(
    base: Base = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what runs where: model version, gate, age, drift and images."""
    from . import status

    status.show(base, as_json)
