"""JupyterLab in an image: on a writable copy of the repo, behind a platform or standalone.

Kubeflow Notebooks sets $NB_PREFIX to the path, and only lets logged-in users through. JupyterHub
configures everything itself. Standalone, Jupyter asks for $JUPYTER_TOKEN, or for one it prints.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

# Where Kubeflow and JupyterHub mount a user's volume.
volume = Path("/home/jovyan")
home = volume if os.access(volume, os.W_OK) else Path.home()
work = home / "work"
if not work.exists():
    # All or nothing: this process may be killed, and another may start beside it.
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        copy = Path(scratch, work.name)
        shutil.copytree("/app", copy, copy_function=shutil.copyfile)
        with suppress(OSError):  # another process was first
            copy.rename(work)

c = get_config()  # type: ignore[name-defined]  # noqa: F821
c.ServerApp.root_dir = str(work)
if "JUPYTERHUB_SERVICE_URL" not in os.environ:
    c.ServerApp.ip = "0.0.0.0"
    c.ServerApp.port = 8888
    c.ServerApp.open_browser = False
if prefix := os.environ.get("NB_PREFIX"):
    c.ServerApp.base_url = prefix
    c.ServerApp.allow_origin = "*"
    c.IdentityProvider.token = ""
