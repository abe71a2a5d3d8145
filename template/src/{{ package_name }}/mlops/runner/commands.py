"""Commands that export the stage graph and run single stages."""

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def graph(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if stale.")] = False,
) -> None:
    """Export the pipelines for the engines to orchestration/pipelines.json."""
    from . import graph

    graph.check() if check else graph.write()


@app.command()
def stage(
    address: Annotated[
        str, typer.Argument(help="Address of the stage in DVC, like batch/dvc.yaml:publish.")
    ],
    run_id: Annotated[str, typer.Option(help="ID of the run, shared by all its stages.")],
    date: Annotated[str, typer.Option(help="$MLOPS_DATE: a day, or the run's due time.")] = "",
) -> None:
    """Run one stage as an engine's node does: in its own workspace, with data from DVC's remote."""
    from . import stage

    stage.run(address, run_id, date)


@app.command("check-outs", hidden=True)
def check_outs() -> None:
    """Fail if a stage's out holds files that no stage wrote, for `make pipeline`."""
    from . import outs

    outs.check()
