"""JupyterLab in an image: on a copy of the repo that may be written to, behind a platform or alone.

Kubeflow Notebooks says where it is by $NB_PREFIX, and lets nobody in who is not logged in.
JupyterHub sets all of it by itself. Alone, Jupyter asks for $JUPYTER_TOKEN, or for one it prints.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

# Where Kubeflow and JupyterHub mount a person's volume.
volume = Path("/home/jovyan")
home = volume if os.access(volume, os.W_OK) else Path.home()
work = home / "work"
if not work.exists():
    # Whole or not there: one that starts may be killed, and another may start beside it.
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        copy = Path(scratch, work.name)
        shutil.copytree("/app", copy, copy_function=shutil.copyfile)
        with suppress(OSError):  # the other was first
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
