"""A repo for each git host, and its parsed CI files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hosts
import pytest


@pytest.fixture(scope="session")
def hosted(render: Callable[..., Path]) -> dict[str, Path]:
    """Repos by git host."""
    return {host: render({"git_host": host}) for host in ("github", "gitlab")}


@pytest.fixture(scope="session")
def github(hosted: dict[str, Path]) -> dict[str, Any]:
    """GitHub's workflows by name."""
    return hosts.workflows(hosted["github"])


@pytest.fixture(scope="session")
def gitlab(hosted: dict[str, Path]) -> dict[str, hosts.Job]:
    """GitLab's jobs by name."""
    return hosts.pipeline(hosted["gitlab"])
