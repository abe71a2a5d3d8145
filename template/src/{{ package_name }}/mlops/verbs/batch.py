"""The batch's verbs."""

from typing import Annotated

import typer

app = typer.Typer()

PANEL = "Stages of batch/dvc.yaml"


@app.command(rich_help_panel=PANEL)
def rows(shards: Annotated[int, typer.Option(min=1, help="How many files to make.")] = 1) -> None:
    """Bring in the rows of $MLOPS_DATE with their features."""
    from .. import rows

    rows.run(shards)


@app.command(rich_help_panel=PANEL)
def score(shard: Annotated[int, typer.Argument(help="The number of a shard.")]) -> None:
    """Score a shard with the model in production."""
    from .. import score

    score.run(shard)


@app.command(rich_help_panel=PANEL)
def publish() -> None:
    """Publish the day's predictions."""
    from .. import publish

    publish.run()


@app.command(rich_help_panel=PANEL)
def drift() -> None:
    """Compare the day with what the model was judged on."""
    from .. import drift

    drift.run()


@app.command()
def monitor() -> None:
    """Say what the latest batch's comparison found, and where its report is."""
    from .. import drift

    drift.show()


@app.command()
def batch(
    day: Annotated[str, typer.Option("--date", help="A day, as 2013-12-30.")] = "",
    first: Annotated[str, typer.Option("--from", help="The first of a range.")] = "",
    last: Annotated[str, typer.Option("--to", help="The last of a range.")] = "",
) -> None:
    """Score and publish a day, each day of a range, or the latest day that has rows."""
    from .. import batch

    batch.run(day, first, last)
