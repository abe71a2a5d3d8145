"""Commands of the data stages."""

import typer

app = typer.Typer()

PANEL = "Stages of dvc.yaml"


@app.command(rich_help_panel=PANEL)
def ingest() -> None:
    """Load the raw tables and validate every row."""
    from . import ingest

    ingest.run()


@app.command(rich_help_panel=PANEL)
def features() -> None:
    """Compute the feature tables for Feast."""
    from . import features

    features.run()


@app.command(rich_help_panel=PANEL)
def dataset() -> None:
    """Join examples and features point-in-time; split the rows by time."""
    from . import dataset

    dataset.run()
