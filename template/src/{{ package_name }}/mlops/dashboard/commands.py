"""The command of the dashboard."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def dashboard(port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501) -> None:
    """Serve the dashboard of versions, explanations and batches, on localhost or $MLOPS_HOST."""
    script = Path(__file__).with_name("app.py")
    flags = {
        "server.address": os.environ.get("MLOPS_HOST", "127.0.0.1"),
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
    }
    arguments = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    # Streamlit replaces this process, so that signals reach it.
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(script), *arguments])
