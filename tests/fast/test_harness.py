"""The test harness itself: it tests the working tree, isolated from the network."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest


def test_the_template_is_the_working_tree(
    root: Path, template: Path, git: Callable[..., str]
) -> None:
    assert git(template, "status", "--porcelain") == ""
    sources = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    names = git(template, "ls-files", "-z").split("\0")
    assert {name for name in sources if (root / name).is_file()} == {
        name for name in names if (template / name).is_file()
    }
    for name in filter(None, names):
        if (template / name).is_file():
            assert (template / name).read_bytes() == (root / name).read_bytes(), name


def test_network_access_is_blocked(offline: None, template: Path, git: Callable[..., str]) -> None:
    with pytest.raises(AssertionError, match="without network"):
        socket.create_connection(("127.0.0.1", 9))
    with pytest.raises(AssertionError, match="not allowed"):
        git(template, "ls-remote", "https://example.com/x")


def test_a_missing_tool_skips_locally_and_fails_in_ci(
    need: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Path(need("git")).is_file()
    outcomes = (pytest.skip.Exception, pytest.fail.Exception)
    for ci, outcome in zip(["", "true"], outcomes, strict=True):
        monkeypatch.setenv("CI", ci)
        with pytest.raises(outcomes, match="no-such-tool") as raised:
            need("no-such-tool")
        assert raised.type is outcome
