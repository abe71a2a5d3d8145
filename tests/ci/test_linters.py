"""What the public tools say of workflows, Dockerfile and files: nothing without a reason."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

Need = Callable[[str], str]
Git = Callable[..., str]

SUPPRESSION = re.compile(r"(?:zizmor: ignore\[[\w-]+\]|checkov:skip=\w+:|gitleaks:allow)(.*)")
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")
# Made up, and of no use: AWS's documentation has one like it.
PLANTED = "aws_access_key_id = AKIA" + "QWERTYUI2345ASDF"


@pytest.fixture(scope="session", params=["repo", "template"])
def place(request: pytest.FixtureRequest, root: Path, hosted: dict[str, Path]) -> Path:
    """A repo on GitHub, and this checkout."""
    return hosted["github"] if request.param == "repo" else root


def test_zizmor_finds_nothing(place: Path) -> None:
    _nothing("zizmor", "--offline", "--no-progress", str(place / ".github"))


def test_zizmor_finds_what_is_wrong(place: Path, tmp_path: Path) -> None:
    folder = _copy(place, tmp_path)
    for file in folder.glob("*.yml"):
        file.write_text(file.read_text().replace("persist-credentials: false", "clean: true"))
    assert "artipacked" in _something("zizmor", "--offline", "--no-progress", str(folder))


def test_actionlint_finds_nothing(place: Path, need: Need) -> None:
    files = sorted(map(str, place.glob(".github/workflows/*.yml")))
    assert files
    _nothing(need("actionlint"), *files)


def test_actionlint_finds_what_is_wrong(place: Path, need: Need, tmp_path: Path) -> None:
    for file in _copy(place, tmp_path).glob("*.yml"):
        file.write_text(file.read_text().replace("timeout-minutes:", "timeout-hours:"))
        said = _something(need("actionlint"), str(file))
        assert 'unexpected key "timeout-hours"' in said


SCHEMA = ("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci")


def test_gitlabs_schema_takes_its_files(hosted: dict[str, Path]) -> None:
    repo = hosted["gitlab"]
    files = [repo / ".gitlab-ci.yml", *sorted(repo.glob(".gitlab/*.yml"))]
    assert len(files) == 4
    _nothing(*SCHEMA, *map(str, files))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("timeout: 40m", "timeout: [40]"),
        ("aud: sigstore", "audience: sigstore"),
        ("needs: [sample]", "needs: {job: sample}"),
    ],
)
def test_gitlabs_schema_finds_what_is_wrong(
    hosted: dict[str, Path], tmp_path: Path, right: str, wrong: str
) -> None:
    text = (hosted["gitlab"] / ".gitlab/ci.yml").read_text()
    assert right in text
    (tmp_path / "ci.yml").write_text(text.replace(right, wrong))
    _something(*SCHEMA, str(tmp_path / "ci.yml"))


def test_checkov_finds_nothing(hosted: dict[str, Path], need: Need) -> None:
    for host, kinds in (("github", "dockerfile github_actions"), ("gitlab", "gitlab_ci")):
        checks = ("--framework", *kinds.split(), "--quiet", "--compact", "--skip-download")
        folder = str(hosted[host])
        _nothing(need("uv"), "tool", "run", "checkov@3.3.30", "--directory", folder, *checks)


def test_gitleaks_finds_nothing(place: Path, need: Need, git: Git, tmp_path: Path) -> None:
    folder = _committed(place, git, tmp_path)
    _nothing(need("gitleaks"), "git", "--no-banner", "--redact", "--verbose", str(folder))


def test_gitleaks_finds_a_secret_that_a_later_commit_removed(
    place: Path, need: Need, git: Git, tmp_path: Path
) -> None:
    folder = _committed(place, git, tmp_path)
    for text in (PLANTED, ""):
        (folder / "params.yaml").write_text(text)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "Work")
    said = _something(need("gitleaks"), "git", "--no-banner", "--redact", "--verbose", str(folder))
    assert "aws-access-token" in said
    assert PLANTED not in said


def test_actions_are_pinned_with_their_version(place: Path) -> None:
    seen: dict[str, str] = {}
    for file in place.glob(".github/workflows/*.yml"):
        for line in file.read_text().splitlines():
            if found := re.search(r"uses: (\S+)(.*)", line):
                assert PINNED.fullmatch(found[1]), line
                assert re.fullmatch(r" # v\d+\.\d+\.\d+", found[2]), line
                # One version of an action, whichever file uses it.
                assert seen.setdefault(found[1].split("@")[0], found[0]) == found[0]
    assert seen


def test_suppressions_have_a_reason(root: Path, git: Git) -> None:
    files = [root / name for name in git(root, "ls-files").split("\n") if name]
    here = Path(__file__)
    found = [
        match
        for file in files
        if file.is_file() and file.resolve() != here
        for match in SUPPRESSION.finditer(file.read_text(errors="ignore"))
    ]
    assert found
    assert all(len(match[1].split()) > 3 for match in found)


def test_the_hooks_of_git_are_of_the_repos_own_tools(tree: Path) -> None:
    config = yaml.safe_load((tree / ".pre-commit-config.yaml").read_text())
    assert [each["repo"] for each in config["repos"]] == ["local"]
    assert {hook["language"] for hook in config["repos"][0]["hooks"]} == {"system"}


def test_git_asks_for_the_graph_of_every_pipeline(tree: Path) -> None:
    config = yaml.safe_load((tree / ".pre-commit-config.yaml").read_text())
    [hook] = [each for each in config["repos"][0]["hooks"] if each["id"] == "graph"]
    settings = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["mlops"]
    files = [pipeline["file"] for pipeline in settings["pipelines"].values()]
    assert "stream/dvc.yaml" in files
    files += ["pyproject.toml", "orchestration/pipelines.json", "ours/dvc.yaml"]
    assert [file for file in files if not re.search(hook["files"], file)] == []


def _copy(place: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(place / ".github/workflows", tmp_path / ".github/workflows"))


def _committed(place: Path, git: Git, tmp_path: Path) -> Path:
    """A clone of a repo with its history, or its first commit."""
    folder = tmp_path / "repo"
    if (place / ".git").exists():
        git(tmp_path, "clone", "--quiet", str(place), str(folder))
        return folder
    shutil.copytree(place, folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Start")
    return folder


def _run(tool: str, *arguments: str) -> tuple[int, str]:
    beside = Path(sys.executable).parent / tool
    command = [str(beside) if beside.exists() else tool, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _nothing(tool: str, *arguments: str) -> None:
    code, said = _run(tool, *arguments)
    assert code == 0, said


def _something(tool: str, *arguments: str) -> str:
    code, said = _run(tool, *arguments)
    assert code != 0, said
    return said
