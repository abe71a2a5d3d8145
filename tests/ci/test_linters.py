"""Public linters pass on workflows, Dockerfile and files; each suppression has a reason."""

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
# A fake key, similar to the one in the AWS documentation.
PLANTED = "aws_access_key_id = AKIA" + "QWERTYUI2345ASDF"


@pytest.fixture(scope="session", params=["repo", "template"])
def place(request: pytest.FixtureRequest, root: Path, hosted: dict[str, Path]) -> Path:
    """Root of a repo on GitHub, and of this checkout."""
    return hosted["github"] if request.param == "repo" else root


def test_zizmor_finds_nothing(place: Path) -> None:
    _passes("zizmor", "--offline", "--no-progress", str(place / ".github"))


def test_zizmor_finds_persisted_credentials(place: Path, tmp_path: Path) -> None:
    folder = _copy(place, tmp_path)
    for file in folder.glob("*.yml"):
        file.write_text(file.read_text().replace("persist-credentials: false", "clean: true"))
    assert "artipacked" in _fails("zizmor", "--offline", "--no-progress", str(folder))


def test_actionlint_finds_nothing(place: Path, need: Need) -> None:
    files = sorted(map(str, place.glob(".github/workflows/*.yml")))
    assert files
    _passes(need("actionlint"), *files)


def test_actionlint_finds_an_unknown_key(place: Path, need: Need, tmp_path: Path) -> None:
    for file in _copy(place, tmp_path).glob("*.yml"):
        file.write_text(file.read_text().replace("timeout-minutes:", "timeout-hours:"))
        output = _fails(need("actionlint"), str(file))
        assert 'unexpected key "timeout-hours"' in output


SCHEMA = ("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci")


def test_gitlabs_schema_accepts_the_ci_files(hosted: dict[str, Path]) -> None:
    repo = hosted["gitlab"]
    files = [repo / ".gitlab-ci.yml", *sorted(repo.glob(".gitlab/*.yml"))]
    assert len(files) == 4
    _passes(*SCHEMA, *map(str, files))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("timeout: 40m", "timeout: [40]"),
        ("aud: sigstore", "audience: sigstore"),
        ("needs: [sample]", "needs: {job: sample}"),
    ],
)
def test_gitlabs_schema_rejects_an_invalid_file(
    hosted: dict[str, Path], tmp_path: Path, right: str, wrong: str
) -> None:
    text = (hosted["gitlab"] / ".gitlab/ci.yml").read_text()
    assert right in text
    (tmp_path / "ci.yml").write_text(text.replace(right, wrong))
    _fails(*SCHEMA, str(tmp_path / "ci.yml"))


def test_checkov_finds_nothing(hosted: dict[str, Path], need: Need) -> None:
    for host, kinds in (("github", "dockerfile github_actions"), ("gitlab", "gitlab_ci")):
        checks = ("--framework", *kinds.split(), "--quiet", "--compact", "--skip-download")
        folder = str(hosted[host])
        _passes(need("uv"), "tool", "run", "checkov@3.3.30", "--directory", folder, *checks)


def test_gitleaks_finds_nothing(place: Path, need: Need, git: Git, tmp_path: Path) -> None:
    folder = _committed(place, git, tmp_path)
    _passes(need("gitleaks"), "git", "--no-banner", "--redact", "--verbose", str(folder))


def test_gitleaks_finds_a_secret_that_a_later_commit_removed(
    place: Path, need: Need, git: Git, tmp_path: Path
) -> None:
    folder = _committed(place, git, tmp_path)
    for text in (PLANTED, ""):
        (folder / "params.yaml").write_text(text)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "Work")
    output = _fails(need("gitleaks"), "git", "--no-banner", "--redact", "--verbose", str(folder))
    assert "aws-access-token" in output
    assert PLANTED not in output


def test_actions_are_pinned_to_a_commit_with_a_version_comment(place: Path) -> None:
    versions: dict[str, str] = {}
    for file in place.glob(".github/workflows/*.yml"):
        for line in file.read_text().splitlines():
            if match := re.search(r"uses: (\S+)(.*)", line):
                assert PINNED.fullmatch(match[1]), line
                assert re.fullmatch(r" # v\d+\.\d+\.\d+", match[2]), line
                # All workflows use the same version of an action.
                assert versions.setdefault(match[1].split("@")[0], match[0]) == match[0]
    assert versions


def test_suppressions_have_a_reason(root: Path, git: Git) -> None:
    files = [root / name for name in git(root, "ls-files").split("\n") if name]
    this_file = Path(__file__)
    matches = [
        match
        for file in files
        if file.is_file() and file.resolve() != this_file
        for match in SUPPRESSION.finditer(file.read_text(errors="ignore"))
    ]
    assert matches
    assert all(len(match[1].split()) > 3 for match in matches)


def test_git_hooks_use_only_the_repos_own_tools(tree: Path) -> None:
    config = yaml.safe_load((tree / ".pre-commit-config.yaml").read_text())
    assert [each["repo"] for each in config["repos"]] == ["local"]
    assert {hook["language"] for hook in config["repos"][0]["hooks"]} == {"system"}


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        ("format", "x=1\n"),
        ("lint", '"""Work."""\n\nimport os\n'),
        ("secrets", PLANTED + "\n"),
        ("prose-docstring", '"""' + 'Give the rows."""\n'),
        ("prose-idiom", '"""Work."""\n# They are held ' + "against the model.\n"),
        ("prose-per", '"""Rows, a row ' + 'a flight."""\n'),
    ],
)
def test_the_hooks_of_this_checkout_stop_a_bad_commit(
    root: Path,
    need: Need,
    git: Git,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
    text: str,
) -> None:
    need("gitleaks")
    repo = _committed(root, git, tmp_path)
    monkeypatch.chdir(repo)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", sys.prefix)
    monkeypatch.setenv("UV_NO_SYNC", "1")
    (repo / "work.py").write_text('"""Work."""\n')
    git(repo, "add", "work.py")
    _passes("pre-commit", "run", hook)
    (repo / "work.py").write_text(text)
    git(repo, "add", "work.py")
    _fails("pre-commit", "run", hook)


def test_the_graph_hook_covers_every_pipeline(tree: Path) -> None:
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
    """Return a clone of a repo with its history, or a copy with a first commit."""
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
    installed = Path(sys.executable).parent / tool
    command = [str(installed) if installed.exists() else tool, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _passes(tool: str, *arguments: str) -> None:
    code, output = _run(tool, *arguments)
    assert code == 0, output


def _fails(tool: str, *arguments: str) -> str:
    code, output = _run(tool, *arguments)
    assert code != 0, output
    return output
