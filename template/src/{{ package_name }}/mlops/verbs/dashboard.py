"""The dashboard's verb."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def dashboard(port: Annotated[int, typer.Option(help="The port to listen on.")] = 8501) -> None:
    """Show versions, explanations and batches in a browser, on $MLOPS_HOST or this machine."""
    script = Path(__file__).parents[1] / "dashboard" / "app.py"
    flags = {
        "server.address": os.environ.get("MLOPS_HOST", "127.0.0.1"),
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
    }
    given = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    # The process becomes Streamlit's: what stops it stops that.
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(script), *given])
