"""The variables that keep the settings of this machine's user out of what a test runs."""

import os
from pathlib import Path


def environment(folder: Path) -> dict[str, str]:
    """Write empty settings into a folder; give the variables that lead to them."""
    for name, text in {
        "copier.yml": "{}\n",
        # A checkout in a container may belong to somebody else; nothing must outlive a power cut.
        "gitconfig": "[init]\ndefaultBranch = main\n[safe]\ndirectory = *\n[core]\nfsync = none\n",
    }.items():
        (folder / name).write_text(text)
    given = {
        "COPIER_SETTINGS_PATH": str(folder / "copier.yml"),
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_TERMINAL_PROMPT": "0",
        "DVC_GLOBAL_CONFIG_DIR": str(folder),
        "DVC_SYSTEM_CONFIG_DIR": str(folder),
        "DVC_NO_ANALYTICS": "true",
        # What mypy reads of the libraries is the same in every repo.
        "MYPY_CACHE_DIR": str(folder / "mypy"),
    }
    for role in ("AUTHOR", "COMMITTER"):
        given |= {f"GIT_{role}_NAME": "Tests", f"GIT_{role}_EMAIL": "tests@example.com"}
    return given
