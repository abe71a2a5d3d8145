"""`make update-branch` as the scheduled job runs it, with a folder as the git server."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from team import Git, Platform, Team

BRANCH = "platform-update"
FILE = "dvc.yaml"
JOBS = ("ci", "promote", "update")
MARKERS = ("<<<<<<< before updating", ">>>>>>> after updating")

# A stand-in for gh: logs its calls, and stores the text and the number of the open pull request.
GH = """#!/bin/sh
printf '%s\\n' "$*" >> {folder}/calls
case "$1 $2" in
  "pr list") cat {folder}/open 2>/dev/null; exit 0 ;;
  "pr create") echo 7 > {folder}/open; cat > {folder}/text ;;
  "pr edit") cat > {folder}/text ;;
esac
"""
HOOK = """#!/bin/sh
: > {folder}/calls
i=0
while [ "$i" -lt "${{GIT_PUSH_OPTION_COUNT:-0}}" ]; do
  eval "printf '%s\\n' \\"\\$GIT_PUSH_OPTION_$i\\"" >> {folder}/calls
  i=$((i + 1))
done
"""


@dataclass(frozen=True)
class Host:
    """The team's repo, its server, and the calls that the server received."""

    team: Team
    folder: Path
    git: Git

    def calls(self) -> list[str]:
        """Return the calls or push options that the server received, in order."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def text(self) -> str:
        """Return the text of the pull request."""
        return (self.folder / "text").read_text()

    def propose(self) -> str:
        """Run the command of the scheduled job and return its output."""
        before = self.git(self.team.folder, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
        code, output = self.team.make("update-branch", "BASE=main", GH_TOKEN="hidden")
        assert code == 0
        assert not self.team.status()
        after = self.git(self.team.folder, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
        assert after == before
        return output

    def branch(self) -> str:
        """Return the commit of the branch on the server, or an empty string."""
        commit = self.git(
            self.folder / "server", "branch", "--list", BRANCH, "--format=%(objectname)"
        )
        return commit.strip()

    def show(self, file: str) -> str:
        """Return the text of a file on the branch."""
        return self.git(self.folder / "server", "show", f"{BRANCH}:{file}")


@pytest.fixture
def host(
    start: Callable[..., Team], git: Git, tmp_path: Path, request: pytest.FixtureRequest
) -> Host:
    """A team's repo with a server; the parameter is its kind, GitHub by default."""
    name = getattr(request, "param", "github")
    team = start(git_host=name)
    folder = tmp_path / "host"
    server = folder / "server"
    folder.mkdir()
    git(tmp_path, "clone", "--quiet", "--bare", str(team.folder), str(server))
    git(server, "config", "receive.advertisePushOptions", "true")
    git(team.folder, "remote", "add", "origin", str(server))
    script = server / "hooks/pre-receive" if name == "gitlab" else tmp_path / "bin/gh"
    script.parent.mkdir(exist_ok=True)
    script.write_text((HOOK if name == "gitlab" else GH).format(folder=folder))
    script.chmod(0o755)
    return Host(team, folder, git)


def _conflict(host: Host, platform: Platform) -> None:
    platform.edit(f"template/{FILE}", "stages:", "# The platform's line.\nstages:")
    platform.release("999.1.0")
    host.team.write(FILE, host.team.read(FILE).replace("stages:", "# Ours.\nstages:", 1))


def test_an_up_to_date_repo_gets_no_branch(host: Host) -> None:
    assert "Up to date" in host.propose()
    assert not host.branch()
    assert host.calls() == []


def test_an_update_without_conflicts_opens_a_pull_request(host: Host, platform: Platform) -> None:
    platform.edit(f"template/{FILE}", "stages:", "# The platform's line.\nstages:")
    platform.release("999.1.0")
    host.propose()
    assert "# The platform's line." in host.show(FILE)
    (create,) = [line for line in host.calls() if line.startswith("pr create")]
    assert f"--base main --head {BRANCH} --title Update the platform to 999.1.0" in create
    assert "--draft" not in create
    assert "Changes in 999.1.0." in host.text()
    assert "## 0.1.0" not in host.text()


def test_an_update_with_conflicts_opens_a_draft_with_instructions(
    host: Host, platform: Platform
) -> None:
    _conflict(host, platform)
    host.propose()
    (create,) = [line for line in host.calls() if line.startswith("pr create")]
    assert create.endswith("--draft")
    assert "Changes in 999.1.0." in host.text()
    assert f"{FILE}: conflict markers" in host.text()
    assert all(marker in host.show(FILE) for marker in MARKERS)
    assert all(marker not in host.team.read(FILE) for marker in MARKERS)


def test_failing_tests_make_the_pull_request_a_draft(
    host: Host, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.release("999.1.0")
    monkeypatch.setenv("PLATFORM_TESTS", "1")
    host.propose()
    (create,) = [line for line in host.calls() if line.startswith("pr create")]
    assert create.endswith("--draft")
    assert "tests/platform` failed" in host.text()


def test_there_is_one_pull_request_and_it_is_updated(host: Host, platform: Platform) -> None:
    _conflict(host, platform)
    host.propose()
    first = host.branch()
    assert "already" in host.propose()
    assert host.branch() == first
    assert host.calls()[-1].startswith("pr list")
    before = len(host.calls())

    platform.release("999.2.0")
    host.propose()
    assert host.branch() != first
    later = host.calls()[before:]
    assert not [line for line in later if line.startswith("pr create")]
    assert [line for line in later if line.startswith("pr edit 7 --title Update the platform to 9")]
    assert "pr ready 7 --undo" in later
    assert "Changes in 999.2.0." in host.text()

    # Without the conflict on main, the draft becomes ready for review.
    host.team.write(FILE, host.team.read(FILE).replace("# Ours.\n", ""))
    host.propose()
    assert host.calls()[-1] == "pr ready 7"
    assert not any(marker in host.show(FILE) for marker in MARKERS)


def test_commits_by_others_are_kept(
    host: Host, platform: Platform, git: Git, tmp_path: Path
) -> None:
    _conflict(host, platform)
    host.propose()
    theirs = tmp_path / "theirs"
    git(tmp_path, "clone", "--quiet", "--branch", BRANCH, str(host.folder / "server"), str(theirs))
    Team(theirs, git).write(FILE, "stages: {}\n")
    git(theirs, "push", "--quiet")
    mended = host.branch()
    platform.release("999.2.0")
    assert "commits of others" in host.propose()
    assert host.branch() == mended


@pytest.mark.parametrize("host", ["gitlab"], indirect=True)
def test_gitlab_merge_requests_are_opened_with_push_options(host: Host, platform: Platform) -> None:
    _conflict(host, platform)
    host.propose()
    options = dict(line.partition("=")[::2] for line in host.calls())
    description = options.pop("merge_request.description")
    assert options == {
        "merge_request.create": "",
        "merge_request.remove_source_branch": "",
        "merge_request.target": "main",
        "merge_request.title": "Draft: Update the platform to 999.1.0",
    }
    assert "\\n\\nChanges in 999.1.0.\\n" in description
    assert f"{FILE}: conflict markers" in description


@pytest.mark.parametrize("host", ["none"], indirect=True)
def test_another_host_gets_only_the_branch(host: Host, platform: Platform) -> None:
    platform.release("999.1.0")
    host.propose()
    assert host.branch()
    assert host.calls() == []


@pytest.mark.parametrize("command", ["pr list", "pr create"])
def test_a_refusal_by_the_host_is_reported_and_leaves_no_branch(
    host: Host, platform: Platform, tmp_path: Path, command: str
) -> None:
    platform.release("999.1.0")
    refuse = f'[ "$1 $2" != "{command}" ] || {{ echo "not allowed" >&2; exit 1; }}\n'
    (tmp_path / "bin/gh").write_text(f"#!/bin/sh\n{refuse}")
    code, output = host.team.make("update-branch")
    assert code != 0
    assert f"`gh {command}` failed: not allowed" in output
    assert not host.team.status()
    assert not host.branch()


def test_a_branch_without_a_pull_request_gets_one(host: Host, platform: Platform) -> None:
    platform.release("999.1.0")
    host.propose()
    (host.folder / "open").unlink()
    before = len(host.calls())
    host.propose()
    assert [line for line in host.calls()[before:] if line.startswith("pr create")]


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("github", {f".github/workflows/{job}.yml" for job in JOBS} | {"renovate.json"}),
        ("gitlab", {f".gitlab/{job}.yml" for job in JOBS} | {".gitlab-ci.yml", "renovate.json"}),
        ("none", set()),
    ],
)
def test_each_host_has_only_its_own_jobs(
    render: Callable[..., Path], name: str, paths: set[str]
) -> None:
    repo = render({"git_host": name})
    files = [
        *repo.glob(".git*/**/*.yml"),
        *repo.glob(".gitlab-ci.yml"),
        *repo.glob("renovate.json"),
    ]
    assert {path.relative_to(repo).as_posix() for path in files} == paths
    jobs = [path.read_text() for path in files if path.name == "update.yml"]
    assert all("make update-branch BASE=" in job for job in jobs)
    assert all(re.search(r"uses: \S+@[0-9a-f]{40} # v", job) for job in jobs if "uses:" in job)
