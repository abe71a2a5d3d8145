"""The verbs of CI."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def sample(
    base: Annotated[str, typer.Option(help="The commit to compare with.")] = "origin/main",
) -> None:
    """Run the pipeline on a sample, at a base and here, and compare the metrics."""
    from .. import sample

    sample.run(base)


@app.command()
def attest(
    images: Annotated[Path, typer.Argument(help="What `make images PUSH=1` wrote.")],
) -> None:
    """Sign images, and attest what is in them and where they come from."""
    from .. import attest

    attest.run(images)
