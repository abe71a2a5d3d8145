"""Validation of answers, the values derived from them, and the questions that are asked."""

import ast
import json
import keyword
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

pytestmark = pytest.mark.usefixtures("offline")

Resolve = Callable[..., dict[str, str]]

GOOD = [
    ("project_name", "X"),
    ("project_name", "x" * 200),
    ("project_name", 'Émile\'s "flights": {{ 7 * 7 }} & {% raw %} #1 — 遅延 🛫'),
    ("project_slug", "a"),
    ("project_slug", "a" * 40),
    ("project_slug", "late-flights-2"),
    ("package_name", "a"),
    ("package_name", "late_flights_2"),
    ("package_name", "a" * 40),
    ("description", "Will it be late? 'Yes' or \"no\": {{ x }} # 100 % \\ done"),
    ("description", "x" * 400),
    ("mlflow_tracking_uri", "https://mlflow.example.com:8443/a/b?c=d"),
    ("mlflow_tracking_uri", "sqlite:////var/lib/mlflow.db"),
    ("mlflow_tracking_uri", "postgresql://user@db.example.com/mlflow"),
    ("mlflow_tracking_uri", "databricks://profile"),
    ("dvc_remote_url", "s3://bucket/late-flights"),
    ("dvc_remote_url", "azure://container/path"),
    ("dvc_remote_url", "gs://bucket"),
    ("dvc_remote_url", "/mnt/share/dvc"),
    ("dvc_remote_url", "ssh://user@host.example.com:2222/path"),
    ("team", ""),
    ("team", "@octocat"),
    ("team", "@my-org/my.team_2"),
    ("team", "@my-org/models/late-flights"),
    ("platform_team", "ml.platform+repos@mail.example.com"),
    ("repo_url", "https://git.example.com:8443/a/b.c/late-flights"),
    ("repo_url", "git@git.example.com:my-org/late-flights.git"),
    ("repo_url", "ssh://git@git.example.com:2222/~me/late-flights.git"),
    ("repo_url", "git://host.cluster.local:9418/late-flights"),
]

BAD = [
    ("project_name", ""),
    ("project_name", "   "),
    ("project_name", " Late Flights"),
    ("project_name", "Late Flights "),
    ("project_name", "x" * 201),
    ("project_name", "Late\nFlights"),
    ("project_name", "Late\tFlights"),
    ("project_name", "Late\x00Flights"),
    ("project_name", "Late\u2028Flights"),
    ("project_name", "Late\udcffFlights"),
    ("project_slug", ""),
    ("project_slug", "Late"),
    ("project_slug", "2late"),
    ("project_slug", "-late"),
    ("project_slug", "late-"),
    ("project_slug", "late_flights"),
    ("project_slug", "late.flights"),
    ("project_slug", "late\n"),
    ("project_slug", "é"),
    ("project_slug", "a" * 41),
    ("project_slug", "pandas"),
    ("project_slug", "scikit-learn"),
    ("package_name", ""),
    ("package_name", "Late"),
    ("package_name", "2late"),
    ("package_name", "_late"),
    ("package_name", "late-flights"),
    ("package_name", "late\n"),
    ("package_name", "é"),
    ("package_name", "a" * 41),
    ("package_name", "class"),
    ("package_name", "json"),
    ("package_name", "mlops"),
    ("package_name", "lightgbm"),
    ("description", ""),
    ("description", " "),
    ("description", "x" * 401),
    ("description", "two\nlines"),
    ("description", "\x1b[31mred"),
    ("description", "\udcff"),
    ("mlflow_tracking_uri", ""),
    ("mlflow_tracking_uri", "mlflow.example.com"),
    ("mlflow_tracking_uri", "https://mlflow.example.com/a b"),
    ("mlflow_tracking_uri", 'https://mlflow.example.com/"'),
    ("mlflow_tracking_uri", "https://mlflow.example.com/\\"),
    ("mlflow_tracking_uri", "https://mlflow.example.com\n"),
    ("mlflow_tracking_uri", "https://user:password@mlflow.example.com"),
    ("dvc_remote_url", ""),
    ("dvc_remote_url", "my folder"),
    ("dvc_remote_url", "s3://bucket/#1"),
    ("dvc_remote_url", "s3://bucket/a;b"),
    ("dvc_remote_url", "s3://bucket/a,b"),
    ("dvc_remote_url", "s3://bucket/%(x)s"),
    ("dvc_remote_url", "'s3://bucket'"),
    ("dvc_remote_url", "s3://bucket\nurl = s3://other"),
    ("dvc_remote_url", "https://user:password@dvc.example.com/x"),
    ("team", "my-team"),
    ("team", "@"),
    ("team", "@my-org/"),
    ("team", "@a @b"),
    ("team", "@a\n* @b"),
    ("team", "@a #"),
    ("platform_team", '@a"'),
    ("platform_team", "a@b"),
    ("platform_team", "@aé"),
    ("repo_url", ""),
    ("repo_url", "my-org/late-flights"),
    ("repo_url", "https://"),
    ("repo_url", "file:///srv/late-flights.git"),
    ("repo_url", "https://git.example.com/*"),
    ("repo_url", "https://git.example.com/a b"),
    ("repo_url", "https://git.example.com/a:"),
    ("repo_url", "https://git.example.com/a\n- '*'"),
    ("repo_url", "https://git.example.com/{{ .env }}"),
    ("repo_url", "https://me:hidden@git.example.com/a.git"),
    ("repo_url", "https://token@git.example.com/a.git"),
    ("repo_url", "ssh://git:hidden@git.example.com/a.git"),
]

NAMES = [
    "Late Flights",
    "x",
    "!",
    "-",
    "_",
    "42",
    "7 Wonders",
    "2fast 2late",
    "日本の航空便",
    "🛫",
    "été à Paris",
    "{{ 7 * 7 }}",
    "a" * 200,
    "late " * 39 + "late",
    "x" * 39 + "-y",
    "x" * 33 + " - model",
    "a-" * 30 + "a",
    "class",
    "None",
    "True",
    "null",
    "Yes",
    "no",
    "on",
    "y",
    "json",
    "sqlite3",
    "Import Lib",
    "__future__",
    "test",
    "src",
    "model",
    "mlops",
    "MLOps!",
    "pandas",
    "scikit-learn",
    "LightGBM",
    "feast",
    "project",
    "package",
]

# Distributions whose import name is not their own.
IMPORTED_AS = {"scikit_learn": "sklearn", "pyyaml": "yaml", "mlflow_skinny": "mlflow"}

# Words that YAML 1.1, and therefore Kubernetes, does not read as strings.
YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


@pytest.fixture(scope="module")
def resolve(
    root: Path,
    questions: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    render: Callable[..., Path],
) -> Resolve:
    """Return all answers that follow from some, using a template of the questions alone."""
    source = tmp_path_factory.mktemp("questions")
    (source / "template").mkdir()
    (source / "copier.yml").write_text((root / "copier.yml").read_text())
    names = ", ".join(f"'{name}': {name}" for name in questions)
    (source / "template/all.json.jinja").write_text(f"{{{{ {{{names}}} | to_json }}}}")

    def run(**answers: str) -> dict[str, str]:
        resolved: dict[str, str] = json.loads((render(answers, source) / "all.json").read_text())
        return resolved

    return run


@pytest.fixture(scope="module")
def reserved(resolve: Resolve) -> set[str]:
    """Names that a package cannot have."""
    return set(resolve()["reserved_names"].split())


@pytest.mark.parametrize(("question", "answer"), GOOD)
def test_valid_answers_are_kept_unchanged(resolve: Resolve, question: str, answer: str) -> None:
    assert resolve(**{question: answer})[question] == answer


@pytest.mark.parametrize(("question", "answer"), BAD)
def test_invalid_answers_are_refused_with_a_hint(
    resolve: Resolve, question: str, answer: str
) -> None:
    with pytest.raises(ValueError, match=f"question '{question}': .*[Tt]ype ") as refusal:
        resolve(**{question: answer})
    if such_as := re.search(r"such as: (.+)$", str(refusal.value)):
        assert resolve(**{question: such_as[1]})[question] == such_as[1]


@pytest.mark.parametrize("question", ["model_type", "orchestrator"])
def test_unknown_choices_are_refused_with_the_known_ones(
    resolve: Resolve, questions: dict[str, Any], question: str
) -> None:
    with pytest.raises(ValueError, match=question) as refusal:
        resolve(**{question: "abacus"})
    for value in questions[question]["choices"].values():
        assert value in str(refusal.value)


@pytest.mark.parametrize("name", NAMES)
def test_derived_names_are_valid_and_pass_their_own_validators(resolve: Resolve, name: str) -> None:
    derived = resolve(project_name=name)
    slug, package = derived["project_slug"], derived["package_name"]
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", slug, re.ASCII)
    assert package == slug.replace("-", "_")
    assert package.isidentifier()
    invalid = {*keyword.kwlist, *keyword.softkwlist, *sys.stdlib_module_names, "mlops", "pandas"}
    assert package not in invalid
    for word in (slug, package):
        assert yaml.safe_load(word) == word
    again = resolve(project_name=name, project_slug=slug, package_name=package)
    assert again == derived


@pytest.mark.parametrize(
    ("answers", "url"),
    [
        ({}, "https://github.com/my-org/late-flights.git"),
        ({"git_host": "gitlab", "project_slug": "x"}, "https://gitlab.com/my-org/x.git"),
        ({"git_host": "none"}, "https://git.example.com/my-org/late-flights.git"),
        ({"team": "@acme/flights"}, "https://github.com/acme/late-flights.git"),
        ({"team": "me@example.com"}, "https://github.com/my-org/late-flights.git"),
    ],
)
def test_the_repos_url_is_derived_from_other_answers(
    resolve: Resolve, answers: dict[str, str], url: str
) -> None:
    assert resolve(**answers)["repo_url"] == url


def test_a_name_without_latin_letters_gets_a_slug_without_repeated_words(resolve: Resolve) -> None:
    slug = resolve(project_name="日本")["project_slug"]
    parts = slug.split("-")
    assert len(parts) == len(set(parts)), f"{slug} repeats a word"


def test_reserved_names_cover_python(reserved: set[str]) -> None:
    modules = {name for name in sys.stdlib_module_names if name[0] != "_" and name.islower()}
    words = {word for word in [*keyword.kwlist, *keyword.softkwlist] if word.islower()} - {"_"}
    assert modules | words | {"mlops"} <= reserved


def test_reserved_names_cover_yaml_keywords(reserved: set[str]) -> None:
    assert not YAML_WORDS - reserved


def test_reserved_names_cover_the_repos_dependencies(reserved: set[str], tree: Path) -> None:
    project = tomllib.loads((tree / "pyproject.toml").read_text())
    requirements = [
        *project["project"]["dependencies"],
        *(
            line
            for group in project["dependency-groups"].values()
            for line in group
            if isinstance(line, str)  # otherwise, the line includes another group
        ),
        *project["build-system"]["requires"],
    ]
    names = {re.split(r"[^\w.-]", line.lower())[0] for line in requirements}
    # A package with the name of a dependency would depend on itself.
    modules = {re.sub(r"[.-]", "_", name) for name in names}
    missing = (modules | {IMPORTED_AS.get(name, name) for name in modules}) - reserved
    assert not missing


def test_reserved_names_cover_the_repos_imports(reserved: set[str], tree: Path) -> None:
    own = {path.name for path in (tree / "src").iterdir()} | {"__future__"}
    imported = set()
    for path in tree.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    assert imported
    missing = imported - reserved - own
    assert not missing


def test_reserved_names_cover_the_feature_definitions(reserved: set[str], tree: Path) -> None:
    """Feast imports the modules in feature_repo/ as top-level modules, next to the package."""
    files = {path.stem for path in (tree / "feature_repo").glob("*.py")}
    assert files
    assert files <= reserved


@pytest.mark.filterwarnings("error:invalid escape sequence")
def test_patterns_have_no_invalid_escape_sequences(resolve: Resolve) -> None:
    resolve()


def test_three_questions_are_asked_and_the_others_have_a_default(
    questions: dict[str, Any],
) -> None:
    names = [
        name
        for name, question in questions.items()
        if question.get("when", True) and question.get("ask", True)
    ]
    assert names == ["project_name", "model_type", "orchestrator"]
    answered = {name: value for name, value in questions.items() if value.get("when", True)}
    assert len(answered) <= 13
    for name, question in answered.items():
        assert question["help"].strip(), name
        assert question["default"] is not None, name
        assert question.get("validator") or question.get("choices"), name
        assert not question.get("secret"), f"{name}: Copier would not record it"


@pytest.mark.parametrize(("lines", "enough"), [(3, True), (2, False)])
def test_an_interactive_user_answers_three_questions(
    root: Path, resolve: Resolve, tmp_path: Path, lines: int, enough: bool
) -> None:
    source = tmp_path / "source"
    (source / "template").mkdir(parents=True)
    (source / "copier.yml").write_text((root / "copier.yml").read_text())
    (source / "template/name.jinja").write_text("{{ project_name }}/{{ project_slug }}")
    repo = tmp_path / "repo"
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text(" for Me" + "\r" * lines)
        keys.close()
        if not enough:
            with pytest.raises(copier.errors.InteractiveSessionError):
                copier.run_copy(str(source), repo, quiet=True)
            return
        copier.run_copy(str(source), repo, quiet=True)
    default = resolve()
    assert (repo / "name").read_text() == (
        f"{default['project_name']} for Me/{default['project_slug']}-for-me"
    )


def test_each_choice_has_a_scenario(
    root: Path, questions: dict[str, Any], scenarios: dict[str, dict[str, str]]
) -> None:
    for question in ("model_type", "orchestrator"):
        choices = set(questions[question]["choices"].values())
        assert choices == {answers[question] for answers in scenarios.values()}
    types = {path.name for path in (root / "model_types").iterdir() if path.is_dir()}
    assert types == set(questions["model_type"]["choices"].values())


def test_scenarios_have_known_answers_and_are_named_after_them(
    questions: dict[str, Any], scenarios: dict[str, dict[str, str]]
) -> None:
    answerable = {name for name, question in questions.items() if question.get("when", True)}
    for name, answers in scenarios.items():
        # Copier silently ignores unknown answers.
        assert set(answers) <= answerable, f"scenarios/{name}.yml"
        assert name.startswith(f"{answers['orchestrator']}-{answers['model_type']}")


def test_a_copy_and_an_update_need_no_trust(
    scenario: dict[str, str],
    render: Callable[..., Path],
    template: Path,
    tmp_path: Path,
    git: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "source"
    git(tmp_path, "clone", "--quiet", str(template), str(source))
    repo = render(scenario, source)
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Start")
    makefile = source / "template/Makefile"
    makefile.write_text(makefile.read_text() + "\n# A later release.\n")
    git(source, "commit", "--quiet", "--all", "--message", "Later")
    git(source, "tag", "v999.1.0")

    copier.run_update(repo, defaults=True, overwrite=True, unsafe=False)

    assert git(repo, "diff", "--name-only").split() == [".copier-answers.yml", "Makefile"]
    assert not git(repo, "ls-files", "--others", "--unmerged")
    assert "_commit: v999.1.0" in (repo / ".copier-answers.yml").read_text()
    assert (repo / "Makefile").read_text().endswith("\n# A later release.\n")
    assert "make setup test" in capsys.readouterr().err
