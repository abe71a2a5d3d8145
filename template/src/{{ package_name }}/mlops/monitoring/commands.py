"""Commands of monitoring."""

import typer

app = typer.Typer()

PANEL = "Stages of batch/dvc.yaml"


@app.command(rich_help_panel=PANEL)
def drift() -> None:
    """Compare the day with the rows that the model was tested on."""
    from . import drift

    drift.run()


@app.command()
def monitor() -> None:
    """Show the result of the latest batch's comparison, and where its report is."""
    from . import drift

    drift.show()
