"""Commands for CI jobs."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def sample(
    base: Annotated[str, typer.Option(help="Commit to compare with.")] = "origin/main",
) -> None:
    """Run the pipeline on a sample, at a base commit and here, and compare the metrics."""
    from . import compare

    compare.run(base)


@app.command()
def attest(
    images: Annotated[Path, typer.Argument(help="The file written by `make images PUSH=1`.")],
) -> None:
    """Sign images, and attest their contents and origin."""
    from . import attest

    attest.run(images)
