"""A new version on main is tagged and published with its notes, once."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import hosts
import pytest
import yaml
from packaging.version import Version

Git = Callable[..., str]
Release = Callable[..., subprocess.CompletedProcess[str]]

GH = f"""#!{sys.executable}
import json, pathlib, sys
made = pathlib.Path(__file__).with_name("made.json")
if sys.argv[2] == "view":
    sys.exit(not made.exists())
made.write_text(json.dumps([sys.argv[2:], sys.stdin.read()]))
"""


@pytest.fixture
def checkout(template: Path, git: Git, tmp_path: Path) -> Path:
    """A clone with a bare remote that has no tags yet."""
    git(tmp_path, "clone", "--quiet", "--bare", "--no-tags", str(template), "remote.git")
    git(tmp_path, "clone", "--quiet", "remote.git", "checkout")
    return tmp_path / "checkout"


@pytest.fixture
def release(checkout: Path, git: Git) -> Release:
    """Write a version and a changelog, commit them, and run the script on that commit."""

    def run(
        version: str, changelog: str, *options: str, path: str = ""
    ) -> subprocess.CompletedProcess[str]:
        (checkout / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        (checkout / "CHANGELOG.md").write_text(changelog)
        git(checkout, "commit", "--quiet", "--all", "--allow-empty", "--message", "Release")
        return subprocess.run(
            [sys.executable, str(checkout / "hooks" / "release.py"), *options],
            env=os.environ | {"PATH": f"{path}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def _tags(checkout: Path, git: Git) -> dict[str, str]:
    lines = git(checkout, "ls-remote", "--tags", "origin").splitlines()
    return {name.removeprefix("refs/tags/"): oid for oid, name in map(str.split, lines)}


def test_a_new_version_is_tagged_once(release: Release, checkout: Path, git: Git) -> None:
    log = "# Changelog\n\n## 1.10.0\n\nNew.\n\nTo do: nothing.\n\n## 1.9.0\n\nOld.\n"
    done = release("1.10.0", log)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "v1.10.0\n\nNew.\n\nTo do: nothing.\n"
    assert _tags(checkout, git) == {}
    assert release("1.10.0", log, "--tag").returncode == 0
    first = git(checkout, "rev-parse", "HEAD").strip()
    assert _tags(checkout, git) == {"v1.10.0": first}
    done = release("1.10.0", log, "--tag")
    assert (done.returncode, done.stdout) == (0, "")
    assert _tags(checkout, git) == {"v1.10.0": first}
    assert release("1.11.0rc1", f"## 1.11.0rc1\n\nSoon.\n\n{log}", "--tag").returncode == 0
    assert release("1.11.0", f"## 1.11.0\n\nNow.\n\n{log}", "--tag").returncode == 0
    assert set(_tags(checkout, git)) == {"v1.10.0", "v1.11.0rc1", "v1.11.0"}


@pytest.mark.parametrize(
    ("version", "changelog", "message"),
    [
        ("1.9.0", "## 1.9.0\n\nOld.\n", "is not above 1.10.0"),
        ("1.10.0rc1", "## 1.10.0rc1\n\nOld.\n", "is not above 1.10.0"),
        ("1.11.0", "## 1.10.0\n\nNew.\n", "nothing under '## 1.11.0'"),
        ("1.11.0", "## 1.11.0\n\n## 1.10.0\n\nNew.\n", "nothing under '## 1.11.0'"),
        ("one", "## one\n\nNew.\n", "is not a version"),
    ],
)
def test_an_invalid_release_is_refused_and_nothing_is_tagged(
    release: Release, checkout: Path, git: Git, version: str, changelog: str, message: str
) -> None:
    git(checkout, "push", "--quiet", "origin", "HEAD:refs/tags/v1.10.0", "HEAD:refs/tags/other")
    before = _tags(checkout, git)
    done = release(version, changelog, "--tag", "--publish")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("release: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert _tags(checkout, git) == before


def test_the_release_notes_are_published(release: Release, tmp_path: Path) -> None:
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    log = "## 1.0.0\n\nThe *first* `one`.\n"
    assert release("1.0.0", log, "--tag", "--publish", path=str(tmp_path)).returncode == 0
    [words, notes] = yaml.safe_load((tmp_path / "made.json").read_text())
    assert words[:2] == ["create", "v1.0.0"]
    assert "--prerelease" not in words
    assert notes == "The *first* `one`."


def test_a_run_that_stopped_after_tagging_can_be_continued(
    release: Release, checkout: Path, git: Git, tmp_path: Path
) -> None:
    log = "## 1.0.0rc1\n\nSoon.\n"
    assert release("1.0.0rc1", log, "--tag").returncode == 0
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    command = [sys.executable, str(checkout / "hooks" / "release.py"), "--tag", "--publish"]
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(command, env=os.environ | path, check=True)
    [words, _] = yaml.safe_load((tmp_path / "made.json").read_text())
    assert "--prerelease" in words


def test_only_tested_commits_are_released(root: Path) -> None:
    jobs = [(flow, job) for flow in hosts.workflows(root).values() for job in flow["jobs"].values()]
    assert all(flow["permissions"] == {"contents": "read"} for flow, _ in jobs)
    [(flow, release)] = [each for each in jobs if "permissions" in each[1]]
    assert "release.py --tag" in str(release["steps"])
    assert release["permissions"] == {"contents": "write"}
    assert release["needs"] == "test"
    assert ".ci/run" in str(flow["jobs"]["test"]["steps"])
    assert release["if"] == "github.event_name == 'push'"
    assert flow["on"]["push"] == {"branches": ["main"]}
    # The next push must not cancel a run that releases.
    assert flow["concurrency"]["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"


def test_the_changelog_starts_with_this_version(root: Path) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    logged = re.findall(r"^## (.+)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert logged[0] == version
    assert logged == sorted(set(logged), key=Version, reverse=True)


def test_workflows_pin_actions_by_commit_and_can_only_read(root: Path) -> None:
    for file in (root / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(file.read_text())
        assert workflow["permissions"] == {"contents": "read"}, file.name
        for job in workflow["jobs"].values():
            for step in job["steps"]:
                name, _, commit = step.get("uses", f"x@{'0' * 40}").partition("@")
                assert len(commit) == 40, f"{file.name}: {name}"
