"""Commands for stream inference."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def serve(port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000) -> None:
    """Serve predictions over HTTP."""
    from . import server

    server.run(port)


@app.command(rich_help_panel="Stages of stream/dvc.yaml")
def materialize() -> None:
    """Bring Feast's online store up to date."""
    from . import materialize

    materialize.run()
