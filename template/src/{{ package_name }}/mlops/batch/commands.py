"""Commands of batch inference."""

from typing import Annotated

import typer

app = typer.Typer()

PANEL = "Stages of batch/dvc.yaml"


@app.command(rich_help_panel=PANEL)
def rows(shards: Annotated[int, typer.Option(min=1, help="Number of files to write.")] = 1) -> None:
    """Prepare the rows of $MLOPS_DATE with their features."""
    from . import rows

    rows.run(shards)


@app.command(rich_help_panel=PANEL)
def score(shard: Annotated[int, typer.Argument(help="Number of the shard.")]) -> None:
    """Score one shard with the model in production."""
    from . import score

    score.run(shard)


@app.command(rich_help_panel=PANEL)
def publish() -> None:
    """Publish the day's predictions."""
    from . import publish

    publish.run()


@app.command()
def batch(
    day: Annotated[str, typer.Option("--date", help="A day, such as 2013-12-30.")] = "",
    first: Annotated[str, typer.Option("--from", help="First day of a range.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last day of a range.")] = "",
) -> None:
    """Score and publish one day, each day of a range, or the latest day that has rows."""
    from . import backfill

    backfill.run(day, first, last)
