"""The repos of all scenarios are complete, clean and determined by the answers alone."""

import ast
import hashlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from configobj import ConfigObj

pytestmark = pytest.mark.usefixtures("offline")

# Files with braces of their own: templates that a tool of the repo renders later.
BRACES = [
    "*.j2",
    "orchestration/airflow/*.py",
    "deploy/argocd/applicationset.yaml",
    "deploy/chart/files/monitoring/*",
    "deploy/chart/templates/*",
    "docker/images.sh",
    "tests/platform/doctor/test_doctor.py",
    "tests/platform/release/test_release.py",
]
# GitHub's expressions. They are removed before the search, since the same file may use Jinja.
EXPRESSIONS = re.compile(r"\${{.*?}}")

EXECUTABLE: set[str] = set()

# Words that name an engine: paths and pyproject.toml may only contain those of the chosen engine.
ENGINES = {
    "airflow": {"airflow"},
    "argo": {"argo"},
    "kubeflow": {"kubeflow", "kfp"},
    "temporal": {"temporal", "temporalio"},
}

SECRETS = re.compile(
    r"BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|://[^/\s:@]+:\w+@"
)


def test_files_parse(tree: Path) -> None:
    kinds = set()
    for name, text in _texts(tree):
        kind = "ini" if name == ".dvc/config" else Path(name).suffix
        parsers: dict[str, Callable[[str], object]] = {
            ".json": json.loads,
            ".py": ast.parse,
            ".toml": tomllib.loads,
            ".yaml": _yaml,
            ".yml": _yaml,
            "ini": lambda text: ConfigObj(text.splitlines()),
        }
        parse = parsers.get(kind)
        if parse and not fnmatch(name, "deploy/chart/templates/*"):
            kinds.add(kind)
            try:
                parse(text)
            except Exception as error:
                raise AssertionError(f"{name}: {error}") from error
    assert {".py", ".toml", ".yaml", ".yml", "ini"} <= kinds


def test_no_jinja_is_left(tree: Path) -> None:
    for name, text in _texts(tree):
        assert not re.search(r"[{}]|\.jinja$", name)
        if not any(fnmatch(name, pattern) for pattern in BRACES):
            # f-strings contain doubled braces too, but the formatter puts no space after them.
            residue = r"{{ |{[%#]" if name.endswith(".py") else r"{[{%#]"
            match = re.search(residue, EXPRESSIONS.sub("", text))
            assert not match, f"{name}: {match}"


@pytest.mark.parametrize("command", [["format", "--check"], ["check"]], ids=" ".join)
@pytest.mark.parametrize("place", ["repo", "template", "model_types"])
def test_ruff_finds_nothing(root: Path, tree: Path, command: list[str], place: str) -> None:
    folder, target = (tree, ".") if place == "repo" else (root, place)
    _ruff(folder, *command, target)


@pytest.mark.parametrize("slug", ["x", "z" * 40])
def test_ruff_finds_nothing_with_names_of_any_length(
    scenario: dict[str, str], render: Callable[..., Path], slug: str
) -> None:
    repo = render({**scenario, "project_slug": slug})
    _ruff(repo, "format", "--check", ".")
    _ruff(repo, "check", ".")


def test_the_same_answers_give_the_same_bytes(
    tree: Path, scenario: dict[str, str], render: Callable[..., Path]
) -> None:
    assert _digests(render(scenario)) == _digests(tree)


def test_the_modules_equal_those_of_the_model_type(
    root: Path, tree: Path, scenario: dict[str, str]
) -> None:
    folder = root / "model_types" / scenario["model_type"]
    package = _answers(tree)["package_name"]
    for name in ("data.py", "features.py", "model.py", "schema.py"):
        assert (tree / "src" / package / name).read_bytes() == (folder / name).read_bytes()


def test_words_are_listed_for_every_engine(questions: dict[str, Any]) -> None:
    assert set(questions["orchestrator"]["choices"].values()) <= set(ENGINES)


def test_engines_not_chosen_leave_no_trace(
    root: Path, tree: Path, scenario: dict[str, str]
) -> None:
    chosen = scenario["orchestrator"]
    others = set().union(*(words for engine, words in ENGINES.items() if engine != chosen))
    for name in _names(tree):
        assert not _words(name) & others, name
    assert not _words((tree / "pyproject.toml").read_text()) & others
    for engine in ENGINES:
        exists = (tree / "orchestration" / engine).exists()
        assert exists == (engine == chosen and (root / "template/orchestration" / engine).exists())


def test_files_are_small_and_only_scripts_are_executable(tree: Path) -> None:
    paths = [path for path in tree.rglob("*") if not path.is_dir()]
    executable = {path for path in paths if path.stat().st_mode & 0o111}
    assert {path.relative_to(tree).as_posix() for path in executable} == EXECUTABLE
    assert not [path for path in paths if path.stat().st_size > 200_000]


def test_text_files_have_clean_whitespace(tree: Path) -> None:
    for name, text in _texts(tree):
        if text:
            assert "\r" not in text, name
            assert text.endswith("\n"), f"{name} has no final newline"
            assert not text.endswith("\n\n"), f"{name} ends with an empty line"
            spaces = [line for line in text.splitlines() if line != line.rstrip()]
            assert not spaces, f"{name}: spaces at the end of {spaces[0]!r}"


def test_git_ignores_no_file(tree: Path, tmp_path: Path, git: Callable[..., str]) -> None:
    folder = str(tmp_path / "git")
    git(tmp_path, "init", "--quiet", "--bare", folder)
    options = (f"--git-dir={folder}", f"--work-tree={tree}", "-c", "core.bare=false")
    git(tree, *options, "add", "--all")
    assert set(git(tree, *options, "ls-files", "-z").split("\0")) - {""} == set(_names(tree))


def test_answers_are_recorded(
    tree: Path,
    scenario: dict[str, str],
    questions: dict[str, Any],
    template: Path,
    git: Callable[..., str],
) -> None:
    answers = _answers(tree)
    recorded = {name for name, question in questions.items() if question.get("when", True)}
    assert set(answers) == recorded | {"_commit", "_src_path"}
    assert answers.items() >= scenario.items()
    assert answers["_commit"] == git(template, "describe", "--tags").strip()
    assert answers["_src_path"] == str(template)


def test_files_contain_no_local_paths_and_no_secrets(
    root: Path, tree: Path, template: Path
) -> None:
    places = [str(root), str(template.parent), str(tree.parent), f"{Path.home()}/"]
    # Copier clones the template to this folder while it renders.
    places.append(f"{tempfile.gettempdir()}/copier")
    for name, text in _texts(tree):
        lines = [line for line in text.splitlines() if not line.startswith("_src_path: ")]
        for line in lines:
            assert not [place for place in places if place in line], f"{name}: {line}"
            # Tests may contain fake secrets, to verify that they are not shown.
            assert name.startswith("tests/") or not SECRETS.search(line), f"{name}: {line}"


def test_the_final_message_shows_the_folder_and_the_next_commands(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo, name = tmp_path / "my repo", "Émile's {{ flights }} \\ 🛫"
    copier.run_copy(str(template), repo, {"project_name": name}, defaults=True, unsafe=False)
    message = capsys.readouterr().err
    assert name in message
    commands = [shlex.split(line) for line in re.findall(r"^ {4,}(.+)", message, re.MULTILINE)]
    assert commands[0] == ["cd", str(repo)]
    assert commands[-1][0] == "make"


def _ruff(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "ruff", *arguments, "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No Python files found" not in done.stderr


def _yaml(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def _answers(tree: Path) -> dict[str, Any]:
    answers: dict[str, Any] = yaml.safe_load((tree / ".copier-answers.yml").read_text())
    return answers


def _names(tree: Path) -> list[str]:
    paths = [path for path in tree.rglob("*") if not path.is_dir()]
    return sorted(path.relative_to(tree).as_posix() for path in paths)


def _texts(tree: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each text file, with its line endings unchanged."""
    for name in _names(tree):
        content = (tree / name).read_bytes()
        if b"\0" not in content:
            yield name, content.decode()


def _digests(tree: Path) -> dict[str, tuple[str, int]]:
    return {
        name: (
            hashlib.sha256((tree / name).read_bytes()).hexdigest(),
            (tree / name).stat().st_mode,
        )
        for name in _names(tree)
    }


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))
