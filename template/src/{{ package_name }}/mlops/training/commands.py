"""Commands of the training stages and of the parameter search."""

from typing import Annotated

import typer

from ..errors import Problem

app = typer.Typer()

PANEL = "Stages of dvc.yaml"


@app.command(rich_help_panel=PANEL)
def train() -> None:
    """Fit the model."""
    from . import train

    train.run()


@app.command(rich_help_panel=PANEL)
def evaluate() -> None:
    """Evaluate the model on rows later than any it was trained on."""
    from . import evaluate

    evaluate.run()


@app.command(rich_help_panel=PANEL)
def gate() -> None:
    """Decide whether the model may be registered; fail if it breaks a rule."""
    from . import gate

    gate.run()


@app.command(rich_help_panel=PANEL)
def register() -> None:
    """Register the model in MLflow, with its lineage and model card."""
    from . import register

    register.run()


@app.command()
def tune(
    trials: Annotated[int | None, typer.Option(min=1, help="Total number of trials.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the best to params.yaml.")] = False,
) -> None:
    """Search for better parameters of `model`, as set in the section `tune` of params.yaml."""
    try:
        from . import tune
    except ModuleNotFoundError as error:
        raise Problem(f"{error.name} is not installed: type `make setup`") from None
    tune.run(trials, write)
