"""Commands for the model in production and for lineage."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def production(
    to: Annotated[Path | None, typer.Option(help="Target folder; its content is replaced.")] = None,
) -> None:
    """Fetch the model in production, or $MLOPS_MODEL_VERSION, and check its digest."""
    from . import fetch

    fetch.run(to or fetch.MODEL)


@app.command()
def lineage(
    version: Annotated[str, typer.Argument(help="Number of a registered version.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show where a registered version comes from: commit, data, parameters, metrics, gate."""
    from . import lineage

    lineage.show(version, as_json)


@app.command("tracking-uri", hidden=True)
def tracking_uri() -> None:
    """Print MLflow's address for `make ui`; update the paths in a database that was moved."""
    from ..settings import settings
    from . import tracking

    with tracking.connected():
        print(settings().tracking_uri)
