"""Free text in answers: refused with a message, or written to the repo exactly as typed."""

import os
import re
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import copier
import pytest
import yaml
from configobj import ConfigObj
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("offline")

CI = bool(os.environ.get("CI"))
few = settings(
    max_examples=12,
    derandomize=CI,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# Text with a meaning in some language between the answer and its readers.
SPECIAL = [
    *"\"'`\\{}[]()<>#%&*!|>-?:,=~@$^;/",
    *["{{ 7 * 7 }}", "{{ undefined_name }}", "{% raw %}", "{% endif %}", "{#", "#}", "-%}"],
    *['"""', "'''", "\\n", "\\u0041", "\\", " #", ": ", "- ", "---", "...", "<<", "&a", "*a"],
    *["!!python/none", "null", "true", "no", "1.0", "0x1", "2020-01-01", "%(x)s", "${HOME}", "$$"],
    *["é", "ß", "İ", "日本", "מודל", "مرحبا", "🛫", "𐌰", "\u202e", "\u200b", "e\u0301", "\u00a0"],
]
# Assigned characters, except control characters, surrogates and line separators.
printable = st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co", "Zl", "Zp"]).filter(
    lambda character: character != "\ufeff"
)


def _text(size: int) -> st.SearchStrategy[str]:
    """Return a strategy for one printable line of at most `size` characters."""
    pieces = st.lists(st.sampled_from(SPECIAL) | st.text(printable, max_size=8), max_size=40)
    return pieces.map(lambda parts: "".join(parts)[:size].strip()).filter(bool)


lines = st.fixed_dictionaries(
    {"project_name": _text(200)},
    optional={"description": _text(400) | _text(398).map(" {} ".format)},
)

ascii_ = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
wild = st.text(st.characters()) | st.lists(ascii_ | st.sampled_from(SPECIAL)).map("".join)
anything = st.fixed_dictionaries(
    {},
    optional={
        "project_name": wild,
        "description": wild,
        "mlflow_tracking_uri": wild | wild.map("https://".__add__),
        "dvc_remote_url": wild | wild.map("s3://".__add__),
    },
)

part = st.text(st.sampled_from("abzABZ0189-._~+=@!$&()*?"), min_size=1, max_size=30)
urls = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(["s3", "gs", "azure", "https", "ssh", "file"]),
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
    st.lists(part, max_size=4).map("/".join),
)


@pytest.fixture(scope="module")
def slim(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template without its static files and history, which renders eight times as fast."""
    source = tmp_path_factory.mktemp("slim") / "template"
    copytree(template, source, ignore=lambda _, names: {".git"} & set(names), symlinks=True)
    for path in (source / "template").rglob("*"):
        if path.is_file() and (path.suffix != ".jinja" or "{% include" in path.read_text()[:11]):
            path.unlink()
    return source


@few
@given(answers=lines)
@example(answers={"project_name": "x" * 200, "description": "\\" * 400})
@example(answers={"project_name": "'", "description": "a" * 79 + " " * 20 + "b: #"})
@example(answers={"project_name": "{{ 7 * 7 }}{% raw %}{#", "description": '"""\\"'})
@example(answers={"project_name": "!!python/none", "description": "\U0010fffd\u202e\u200b"})
def test_printable_lines_are_accepted_and_kept(slim: Path, answers: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert _made(slim, Path(folder), answers)


@few
@given(mlflow=urls, dvc=urls)
def test_plain_urls_are_accepted_and_kept(slim: Path, mlflow: str, dvc: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        answers = {"mlflow_tracking_uri": mlflow, "dvc_remote_url": dvc}
        assert _made(slim, Path(folder), answers)


@few
@given(answers=anything)
@example(answers={"project_name": "\udcff"})
@example(answers={"description": "\ufffe"})
@example(answers={"description": "\ufffd\uffff\U0001ffff"})
@example(answers={"dvc_remote_url": "a,b"})
@example(answers={"dvc_remote_url": "[a]"})
@example(answers={"dvc_remote_url": "${HOME}"})
@example(answers={"mlflow_tracking_uri": "https://{{project_name}}"})
@example(answers={"mlflow_tracking_uri": "https://a'b"})
@example(answers={"mlflow_tracking_uri": 'https://a"b'})
@example(answers={"mlflow_tracking_uri": "https://a\\nb"})
def test_any_text_is_refused_or_kept(slim: Path, answers: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _made(slim, Path(folder), answers)


@pytest.mark.parametrize(
    "answers",
    [
        {
            "project_name": 'Émile\'s "flights" {{ 7 * 7 }} {% raw %} {# \\ 🛫',
            "description": "100 % 'late': #1, [a] & *b | >-  --- مرحبا \\u0041 é" + " long" * 40,
            "mlflow_tracking_uri": "https://user@mlflow.example.com:8443/a?b=${c}&d='e'#f",
            "dvc_remote_url": "s3://bucket/${a}/(b)=[c]",
        },
        {"project_name": "null", "description": "- true"},
    ],
    ids=["specials", "words"],
)
def test_an_update_with_the_same_answers_changes_nothing(
    answers: dict[str, str], render: Callable[..., Path], git: Callable[..., str]
) -> None:
    repo = render(answers)
    _holds(repo, answers)
    git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "Start")
    copier.run_update(repo, defaults=True, overwrite=True, quiet=True, unsafe=False)
    assert git(repo, "status", "--porcelain") == ""
    copier.run_recopy(repo, defaults=True, overwrite=True, quiet=True, unsafe=False)
    assert git(repo, "status", "--porcelain") == ""


def _made(source: Path, folder: Path, answers: dict[str, str]) -> bool:
    """Render a repo and check it; return False if an answer was refused correctly."""
    repo = folder / "repo"
    try:
        copier.run_copy(str(source), repo, answers, defaults=True, quiet=True, unsafe=False)
    except ValueError as refusal:
        message = re.fullmatch(
            r"Validation error for question '(\w+)': .*\b[Tt]ype .*", str(refusal), re.DOTALL
        )
        if not message or message[1] not in answers:
            raise
        return False
    _holds(repo, answers)
    before = _contents(repo)
    copier.run_recopy(repo, defaults=True, overwrite=True, quiet=True, unsafe=False)
    assert _contents(repo) == before
    return True


def _holds(repo: Path, answers: dict[str, str]) -> None:
    recorded = yaml.safe_load((repo / ".copier-answers.yml").read_text("utf-8"))
    assert {name: recorded[name] for name in answers} == answers

    pyproject = tomllib.loads((repo / "pyproject.toml").read_text("utf-8"))
    assert pyproject["project"]["description"] == recorded["description"]
    assert pyproject["project"]["name"] == recorded["project_slug"]
    assert pyproject["tool"]["mlops"]["tracking-uri"] == recorded["mlflow_tracking_uri"]

    # DVC parses its config with ConfigObj.
    dvc = ConfigObj(str(repo / ".dvc/config"), encoding="utf-8")
    assert dvc['remote "storage"'] == {"url": recorded["dvc_remote_url"]}

    store = yaml.safe_load((repo / "feature_repo/feature_store.yaml").read_text("utf-8"))
    assert store["project"] == recorded["package_name"]
    paths = {*repo.rglob("*.yaml"), *repo.rglob("*.yml")}
    for path in paths - {*repo.glob("deploy/chart/templates/**/*")}:
        list(yaml.safe_load_all(path.read_text("utf-8")))

    readme = (repo / "README.md").read_text("utf-8").splitlines()
    assert readme[0] == f"# {recorded['project_name']}"
    assert recorded["description"] in readme


def _contents(repo: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in repo.rglob("*") if path.is_file()}
