"""The stream's verbs."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def serve(port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000) -> None:
    """Answer requests for predictions over HTTP."""
    from ..serving import server

    server.run(port)


@app.command(rich_help_panel="Stages of stream/dvc.yaml")
def materialize() -> None:
    """Bring Feast's online store up to date."""
    from .. import materialize

    materialize.run()
