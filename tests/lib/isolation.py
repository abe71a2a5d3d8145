"""Environment variables that keep the user's own settings out of the tests."""

import os
from pathlib import Path


def environment(folder: Path) -> dict[str, str]:
    """Write empty settings to a folder and return the variables that point to them."""
    for name, text in {
        "copier.yml": "{}\n",
        # A checkout in a container may belong to another user; no repo needs to survive a crash.
        "gitconfig": "[init]\ndefaultBranch = main\n[safe]\ndirectory = *\n[core]\nfsync = none\n",
    }.items():
        (folder / name).write_text(text)
    variables = {
        "COPIER_SETTINGS_PATH": str(folder / "copier.yml"),
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_TERMINAL_PROMPT": "0",
        "DVC_GLOBAL_CONFIG_DIR": str(folder),
        "DVC_SYSTEM_CONFIG_DIR": str(folder),
        "DVC_NO_ANALYTICS": "true",
    }
    for role in ("AUTHOR", "COMMITTER"):
        variables |= {f"GIT_{role}_NAME": "Tests", f"GIT_{role}_EMAIL": "tests@example.com"}
    return variables
