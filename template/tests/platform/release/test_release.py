"""Releases: what may be released, the request that proposes it, and refusals without effect."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Mlops = Callable[[str], ModuleType]

PYPROJECT = """
[project]
name = "toy"
[tool.mlops]
package = "toy"
tracking-uri = "sqlite:///mlflow.db"
[tool.mlops.pipelines.training]
file = "dvc.yaml"
"""
HEAD = "# What runs in {}. `mlops promote` and `mlops rollback` write it; git keeps its history.\n"
IMAGES = {
    "pipeline": f"registry:5000/team/toy/pipeline@sha256:{'1' * 64}",
    "serve": f"registry:5000/team/toy/serve@sha256:{'2' * 64}",
    "dashboard": f"registry:5000/team/toy/dashboard@sha256:{'3' * 64}",
    "engine": f"registry:5000/team/toy/engine@sha256:{'5' * 64}",
    "notebook": f"registry:5000/team/toy/notebook@sha256:{'4' * 64}",
}
STAGE = {
    "id": "train",
    "stage": "train",
    "needs": ["ingest"],
    "resources": {"cpu": "1", "memory": "2Gi"},
    "gpu": 0,
    "retries": 2,
    "timeout": 3600,
}
INGEST = STAGE | {"id": "ingest", "stage": "ingest", "needs": []}
SCORE = STAGE | {"id": "score-0", "stage": "batch/dvc.yaml:score@0", "needs": []}
GRAPH: dict[str, Any] = {
    "batch": {"schedule": "*/5 * * * *", "stages": [SCORE]},
    "training": {"schedule": "", "stages": [INGEST, STAGE]},
}
OTHER = {"training": {"schedule": "0 5 * * 1", "stages": [STAGE | {"needs": [], "gpu": 1}]}}
"""GRAPH without the batch pipeline and one stage, and with a changed stage and schedule."""
GATES = {"1": "passed", "2": "passed", "3": "passed", "4": "failed", "5": None}
"""The gate of each registered version. The files of version 2 were replaced."""
DRIFT = {"2013-12-29": 0, "2013-12-30": 2}
GH = """#!/bin/sh
printf '%s\\n' "$*" >> {folder}/gh-calls
[ "$1 $2" != "$GH_FAILS" ] || {{ echo "not allowed" >&2; exit 1; }}
case "$1 $2" in
  "pr list") cat {folder}/open 2>/dev/null; exit 0 ;;
  "pr create") echo 7 > {folder}/open ;;
esac
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, new_database: Path) -> str:
    """An MLflow database with the versions of GATES, and drift runs of two versions."""
    import mlflow

    folder = tmp_path_factory.mktemp("registry")
    shutil.copytree(new_database, folder / ".mlflow")
    uri = f"sqlite:///{folder}/.mlflow/mlflow.db"
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.create_experiment("toy", artifact_location=(folder / "runs").as_uri())
    client.create_registered_model("toy")
    for number, gate in GATES.items():
        model = _model(folder, number)
        tags = {"model_digest": _digest(number)} | ({"gate": gate} if gate else {})
        client.create_model_version("toy", model.as_uri(), tags=tags)
        if number == "2":
            (model / "data/weights").write_text("others")
    client.set_registered_model_alias("toy", "champion", "3")
    for day, moved in DRIFT.items():
        run = client.create_run(experiment, tags={"drift": day, "drift_version": "1"})
        client.log_metric(run.info.run_id, "drift.moved", moved)
    run = client.create_run(experiment, tags={"drift": "2013-12-31", "drift_version": "9"})
    for name in ("moved", "judged"):
        client.log_metric(run.info.run_id, f"drift.{name}", 0)
    return uri


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a folder with a repo for a host and, as `server`, its `origin`; made once each."""

    @cache
    def start(host: str) -> Path:
        folder = tmp_path_factory.mktemp(host) / "repo"
        for env in ("staging", "prod"):
            (folder / "deploy/envs" / env).mkdir(parents=True)
            _file(env, folder).write_text(HEAD.format(env))
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "orchestration").mkdir()
        (folder / "orchestration/pipelines.json").write_text(json.dumps({"pipelines": GRAPH}))
        (folder / ".copier-answers.yml").write_text(f"git_host: {host}\n")
        (folder / "images.json").write_text(json.dumps(IMAGES))
        (folder / ".gitignore").write_text("images.json\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            _git("init", "--quiet", "--initial-branch", "main")
            _git("add", "--all")
            _git("commit", "--quiet", "--message", "Start")
            _git("clone", "--quiet", "--bare", ".", "../server")
            _git("remote", "add", "origin", "../server")
        return folder.parent

    return start


@pytest.fixture(params=["none"])
def repo(
    request: pytest.FixtureRequest,
    started: Callable[[str], Path],
    tmp_path: Path,
    registry: str,
    mlops: Mlops,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A repo in the current folder, whose `origin` is a local folder; nothing is released."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.com")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    gh = tmp_path / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(GH.format(folder=tmp_path))
    gh.chmod(0o755)
    shutil.copytree(started(request.param), tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "repo"
    monkeypatch.chdir(folder)
    mlops("settings").settings.cache_clear()
    yield folder
    mlops("settings").settings.cache_clear()


@pytest.fixture
def promote(mlops: Mlops) -> Callable[..., None]:
    """Call the function of `mlops promote`, by default for staging."""

    def run(
        to: str = "staging",
        source: str = "",
        version: str = "",
        images: str = "",
        dirty: bool = False,
    ) -> None:
        file = Path(images) if images else None
        mlops("release.promote").promote(to, source, version, file, "", dirty)

    return run


@pytest.fixture
def rollback(mlops: Mlops) -> Callable[..., None]:
    """Call the function of `mlops rollback`."""
    return lambda env, to="": mlops("release.promote").rollback(env, to, "")


@pytest.fixture
def problem(mlops: Mlops, repo: Path) -> Callable[[str], Any]:
    """Expect a Problem that changes nothing, neither here nor at `origin`."""

    class Refusal:
        def __init__(self, match: str) -> None:
            self.raises, self.before = pytest.raises(mlops("errors").Problem, match=match), _all()

        def __enter__(self) -> None:
            self.raises.__enter__()

        def __exit__(self, *error: Any) -> bool:
            done = bool(self.raises.__exit__(*error))
            assert _all() == self.before
            return done

    return Refusal


def test_the_champion_is_released_by_default(
    mlops: Mlops, repo: Path, promote: Callable[..., None]
) -> None:
    with mlops("registry.tracking").connected() as client:
        client.set_registered_model_alias("toy", "champion", "1")
        promote()
        _merge("staging")
        client.set_registered_model_alias("toy", "champion", "3")
    assert b'version: "1"' in _release_file("staging")
    promote()
    _merge("staging")
    assert b'version: "3"' in _release_file("staging")


def test_a_model_from_a_dirty_tree_is_released_only_when_asked(
    mlops: Mlops,
    repo: Path,
    promote: Callable[..., None],
    rollback: Callable[..., None],
    problem: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    promote(version="1")
    _merge("staging")
    with mlops("registry.tracking").connected() as client:
        client.set_model_version_tag("toy", "3", "git_sha", "abc-dirty")
    try:
        for arguments in ({}, {"version": "3"}):
            with problem("uncommitted changes.*DIRTY=1"):
                promote(**arguments)
        promote(images="images.json")  # images can be released without a model
        _merge("staging")
        assert b'version: "1"' in _release_file("staging")
        promote(version="3", dirty=True)
        _merge("staging")
        with problem("uncommitted changes"):
            promote("prod", "staging")
        capsys.readouterr()
        mlops("release.status").show("", as_json=False)
        assert "3 (dirty tree)" in capsys.readouterr().out
        rollback("staging")
        _merge("staging")
        rollback("staging", "HEAD~1")  # a release that ran before needs no `dirty`
    finally:
        with mlops("registry.tracking").connected() as client:
            client.delete_model_version_tag("toy", "3", "git_sha")


def test_rollback_restores_the_release_byte_for_byte(
    repo: Path, promote: Callable[..., None], rollback: Callable[..., None], problem: Any
) -> None:
    promote(version="1", images="images.json")
    _merge("staging")
    promote("prod", "staging")
    assert _release_file("prod") == HEAD.format("prod").encode()
    _merge("prod")
    first = _release_file("prod")
    assert first.replace(b"prod", b"staging") == _release_file("staging")
    assert IMAGES["serve"].partition("@")[2].encode() in first
    assert b"notebook" not in first

    promote()
    _merge("staging")
    promote("prod", "staging")
    _merge("prod")
    second = _release_file("prod")
    assert b'version: "3"' in second
    rollback("prod")
    _merge("prod")
    assert _release_file("prod") == first
    # A second rollback does not return to what was rolled back.
    with problem("prod has had no release before this one"):
        rollback("prod")
    rollback("prod", "HEAD~1")
    _merge("prod")
    assert _release_file("prod") == second
    rollback("prod")
    _merge("prod")
    assert _release_file("prod") == first


def test_the_graph_goes_with_the_image_of_its_commit(
    mlops: Mlops,
    repo: Path,
    promote: Callable[..., None],
    rollback: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def graph(env: str) -> Any:
        return mlops("release.manifest").parse(_release_file(env).decode(), env).graph

    promote(version="1", images="images.json")
    _merge("staging")
    promote("prod", "staging")
    _merge("prod")
    assert graph("staging") == graph("prod") == GRAPH
    first = _release_file("prod")
    # A merged graph is released with the next image of the pipelines, and only with it.
    _commit_graph(OTHER)
    promote(version="3")
    _merge("staging")
    (repo / "images.json").write_text(
        json.dumps({"serve": IMAGES["serve"].replace("2" * 64, "6" * 64)})
    )
    promote(images="images.json")
    _merge("staging")
    assert graph("staging") == GRAPH
    (repo / "images.json").write_text(json.dumps(IMAGES))
    capsys.readouterr()
    promote(images="images.json")
    output = capsys.readouterr().out
    assert "- `graph.batch`: removed score-0, its schedule\n" in output
    assert "- `graph.training`: changed train, its schedule; removed ingest\n" in output
    _merge("staging")
    assert graph("staging") == OTHER
    assert graph("prod") == GRAPH
    promote("prod", "staging")
    _merge("prod")
    second = _release_file("prod")
    assert graph("prod") == OTHER
    rollback("prod")
    _merge("prod")
    assert _release_file("prod") == first
    promote("prod", "staging")
    _merge("prod")
    assert _release_file("prod") == second


def test_rollback_to_a_release_without_a_graph_removes_the_graph(
    repo: Path, promote: Callable[..., None], rollback: Callable[..., None]
) -> None:
    image = f"image:\n  repository: team/toy\n  digest: sha256:{'7' * 64}\n"
    _write("staging", image)
    promote(version="1", images="images.json")
    _merge("staging")
    assert b"\ngraph:\n" in _release_file("staging")
    rollback("staging")
    _merge("staging")
    assert _release_file("staging").decode() == image


def test_a_commit_without_a_graph_is_refused(
    repo: Path, promote: Callable[..., None], problem: Any
) -> None:
    _git("rm", "--quiet", "orchestration/pipelines.json")
    _git("commit", "--quiet", "--message", "No graph")
    with problem("the commit has no orchestration/pipelines.json: type make graph"):
        promote(images="images.json")


def test_comments_around_a_changed_graph_are_kept(mlops: Mlops) -> None:
    manifest = mlops("release.manifest")
    first, second = (manifest.Release(graph=graph) for graph in (GRAPH, OTHER))
    dashboard = "dashboard:\n  image:\n    repository: a\n    digest: sha256:{}\n".format("1" * 64)
    before, after = "# Above.\n", f"\n# Ask the web team first.\n{dashboard}# The end.\n"
    written = [manifest.edited("", each) for each in (first, second)]
    text = before + written[0].replace("stages:\n", "stages:\n# Ours.\n") + after
    parsed = manifest.parse(text, "x")
    assert parsed.graph == GRAPH
    edited = manifest.edited(text, parsed.model_copy(update={"graph": OTHER}))
    assert edited == before + written[1] + after
    assert manifest.edited(edited, parsed) == before + written[0] + after
    assert manifest.edited(edited, parsed.model_copy(update={"graph": {}})) == before + after


@pytest.mark.parametrize("word", ["on", "y", "No", "1", "0.5", "1e3", "2Gi", "12:30", "* * * * *"])
def test_helm_reads_text_as_text(mlops: Mlops, word: str) -> None:
    """Helm reads YAML 1.1."""
    from ruamel.yaml import YAML

    graph = {word: {"schedule": word, "stages": [STAGE | {"id": word, "needs": [word]}]}}
    manifest = mlops("release.manifest")
    text = manifest.edited("# A note\n", manifest.Release(graph=graph))
    assert YAML(typ="safe", pure=True).load(f"%YAML 1.1\n---\n{text}") == {"graph": graph}


def test_rollback_removes_an_added_component_byte_for_byte(
    mlops: Mlops, repo: Path, promote: Callable[..., None], rollback: Callable[..., None]
) -> None:
    (repo / "images.json").write_text(json.dumps({"serve": IMAGES["serve"]}))
    promote(images="images.json")
    _merge("staging")
    first = _release_file("staging")
    (repo / "images.json").write_text(json.dumps(IMAGES))
    promote(images="images.json")
    _merge("staging")
    assert b"dashboard" in _release_file("staging")
    rollback("staging")
    _merge("staging")
    assert _release_file("staging") == first


def test_manual_comments_are_kept(
    repo: Path, promote: Callable[..., None], rollback: Callable[..., None]
) -> None:
    promote(version="1", images="images.json")
    _merge("staging")
    text = _release_file("staging").decode()
    text = text.replace('version: "1"', 'version: "1"  # until the audit').replace(
        "dashboard:\n", "# Ask the web team first.\ndashboard:\n"
    )
    _write("staging", text + "# The end.\n")
    promote(version="3")
    _merge("staging")
    for comment in ("# until the audit", "# Ask the web team first.\ndashboard:\n", "# The end.\n"):
        assert comment in _release_file("staging").decode()
    rollback("staging")
    _merge("staging")
    assert _release_file("staging").decode() == text + "# The end.\n"


def test_digests_that_look_like_numbers_stay_text(mlops: Mlops) -> None:
    manifest = mlops("release.manifest")
    model = manifest.Model(version="1", digest="1" * 32 + "e" + "1" * 31)
    release = manifest.Release().having({}, model)
    text = manifest.edited("# A note", release)
    assert text.startswith("# A note\n")
    assert manifest.parse(text, "x") == release
    assert f'"{model.digest}"' in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": "4"}, "version 4 is 'failed', not 'passed'"),
        ({"version": "5"}, "version 5 is 'not reached', not 'passed'"),
        ({"version": "9"}, "no version 9 in MLflow; there are: 1, 2, 3, 4, 5"),
        ({"version": "2"}, "its files are not those that were registered"),
        ({"to": "dev"}, "no environment is called 'dev'; there are: staging, prod"),
        ({"to": "prod"}, "type mlops promote --from staging --to prod"),
        ({"to": "prod", "source": "prod"}, "type mlops promote --from staging --to prod"),
        ({"to": "prod", "source": "dev"}, "type mlops promote --from staging --to prod"),
        ({"to": "prod", "source": "staging"}, "staging runs nothing yet: type mlops promote --to"),
        (
            {"source": "prod"},
            "staging takes its model from the registry: type mlops promote --to staging",
        ),
        ({"images": "none.json"}, "no none.json: make images PUSH=1 writes"),
    ],
)
def test_invalid_promotions_are_refused(
    repo: Path, promote: Callable[..., None], problem: Any, arguments: dict[str, str], message: str
) -> None:
    with problem(re.escape(message)):
        promote(**arguments)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"serve": "registry/serve:latest"}, "serve: String should match"),
        ({"serv": IMAGES["serve"]}, "serv"),
        ([], "the file: Input should be"),
    ],
)
def test_an_invalid_images_file_is_refused(
    repo: Path, promote: Callable[..., None], problem: Any, images: Any, message: str
) -> None:
    (repo / "images.json").write_text(json.dumps(images))
    with problem(message):
        promote(images="images.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("serving: {model: {version: 1, digest: x}}", "serving.model.version: Input should be"),
        ("serving: {modell: {}}", "serving.modell: Extra inputs"),
        ("image: {repository: a, digest: latest}", "image.digest: String should match"),
        ("image: {repository: a, digest: b}\nimage: {}", "is not YAML"),
        ("- a", "the file: Input should be"),
    ],
)
def test_a_malformed_release_file_is_refused(
    repo: Path, promote: Callable[..., None], problem: Any, text: str, message: str
) -> None:
    _write("staging", text)
    for arguments in ({}, {"to": "prod", "source": "staging"}):
        with problem(f"deploy/envs/staging/release.yaml.*{re.escape(message)}"):
            promote(**arguments)


def test_a_release_that_is_not_in_the_registry_is_refused(
    repo: Path, promote: Callable[..., None], problem: Any
) -> None:
    _write("staging", f"serving: {{model: {{version: '1', digest: {'a' * 64}}}}}\n")
    with problem(f"version 1 with the digest {_digest('1')}, not {'a' * 64}"):
        promote("prod", "staging")


def test_only_an_edit_that_would_be_lost_is_refused(
    repo: Path, promote: Callable[..., None], problem: Any
) -> None:
    _git("checkout", "--quiet", "-b", "work")
    (repo / "pyproject.toml").write_text(PYPROJECT + "# mine\n")
    (repo / "new").write_text("mine")
    _git("add", "new")
    before = _here()
    promote(version="1")
    assert _here() == before
    assert _git("diff", "--name-only", "main", "release-staging", at="../server").split() == [
        "deploy/envs/staging/release.yaml"
    ]
    _file("staging", repo).write_text("# mine\n")
    with problem("release.yaml has changes that are not committed"):
        promote(version="3")


def test_promoting_the_current_release_changes_nothing(
    repo: Path, promote: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    promote(version="1")
    _merge("staging")
    before = _all()
    promote(version="1")
    assert "staging has this release already" in capsys.readouterr().out
    assert _all() == before


def test_rollback_needs_a_release_that_ran(
    repo: Path, promote: Callable[..., None], rollback: Callable[..., None], problem: Any
) -> None:
    promote(version="1")
    with problem("staging never ran origin/release-staging"):
        rollback("staging", "origin/release-staging")
    with problem("staging never ran abacus"):
        rollback("staging", "abacus")
    with problem("staging ran nothing at main"):
        rollback("staging", "main")


def test_a_commit_is_signed_if_git_is_configured_to_sign(
    repo: Path, promote: Callable[..., None], problem: Any
) -> None:
    _git("config", "commit.gpgsign", "true")
    _git("config", "gpg.program", "false")
    with problem("git commit-tree: .*sign"):
        promote(version="1")


def test_a_ci_job_needs_no_git_identity(
    repo: Path, promote: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(version="1")
    author = ("log", "-1", "--format=%an <%ae>, %cn <%ce>", "release-staging")
    assert _git(*author, at="../server").strip() == ", ".join(["Tests <tests@example.com>"] * 2)
    for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        monkeypatch.delenv(f"GIT_{name}")
    monkeypatch.delenv("EMAIL", raising=False)
    # Otherwise git may derive an address from the machine's name.
    _git("config", "user.useConfigOnly", "true")
    promote(version="3")
    assert _git(*author, at="../server").strip().count("@mlops.invalid>") == 2


def test_only_the_state_at_origin_counts(
    repo: Path, promote: Callable[..., None], rollback: Callable[..., None], problem: Any
) -> None:
    promote(version="1")
    _merge("staging")
    with problem("staging has had no release before this one"):
        rollback("staging")
    # Merged with a merge commit that is not pulled here.
    promote(version="3")
    _git("clone", "--quiet", "../server", "../other")
    _git("merge", "--quiet", "--no-ff", "origin/release-staging", "-m", "Merge", at="../other")
    _git("push", "--quiet", at="../other")
    rollback("staging")
    _merge("staging")
    assert b'version: "1"' in _release_file("staging")


def test_images_can_be_released_before_the_first_version(
    repo: Path,
    new_database: Path,
    promote: Callable[..., None],
    problem: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(new_database, repo.parent / "empty")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{repo.parent}/empty/mlflow.db")
    with problem("no version of toy has passed its gate"):
        promote()
    promote(images="images.json")
    _merge("staging")
    assert b"serve@" not in _release_file("staging")
    assert b"toy/serve\n" in _release_file("staging")
    assert b"model" not in _release_file("staging")


def test_without_origin_the_commit_is_on_a_local_branch(
    repo: Path, promote: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    _git("remote", "remove", "origin")
    promote(version="1")
    before = _git("status", "--branch", "--porcelain")
    promote(version="3")
    assert _git("status", "--branch", "--porcelain") == before
    assert _git("branch", "--format=%(refname:short)").split() == ["main", "release-staging"]
    assert "git merge release-staging" in capsys.readouterr().out
    _git("merge", "--quiet", "release-staging")
    assert b'version: "3"' in _file("staging", repo).read_bytes()
    assert _git("rev-list", "--count", "HEAD").strip() == "2"


def test_commits_by_others_are_kept(repo: Path, promote: Callable[..., None], problem: Any) -> None:
    promote(version="1")
    _git("clone", "--quiet", "--branch", "release-staging", "../server", "../other")
    _git("commit", "--quiet", "--allow-empty", "-m", "Look again", at="../other")
    (repo.parent / "other/note").write_text("mine")
    _git("add", "note", at="../other")
    _git("commit", "--quiet", "-m", "Note", at="../other")
    _git("push", "--quiet", at="../other")
    with problem("release-staging holds commits of others"):
        promote(version="3")


def test_a_shallow_clone_is_refused(
    repo: Path, promote: Callable[..., None], problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = (repo.parent / "server").as_uri()
    _git("clone", "--quiet", "--depth", "1", server, "../shallow")
    _write("prod", "# By hand.\n")
    monkeypatch.chdir("../shallow")
    _git("fetch", "--quiet", "--depth", "1")
    with problem("git fetch --unshallow"):
        promote(version="1")


@pytest.mark.parametrize("repo", ["github"], indirect=True)
def test_there_is_one_pull_request_and_it_is_updated(
    repo: Path, promote: Callable[..., None]
) -> None:
    promote(version="1")
    promote(version="1")
    assert [line for line in _gh_calls() if not line.startswith("pr list")] == [
        "pr create --base main --head release-staging --title Release version 1 to staging"
        " --body-file -"
    ]
    promote(version="3")
    assert "pr edit 7 --title Release version 3 to staging --body-file -" in _gh_calls()
    _merge("staging")
    assert b'version: "3"' in _release_file("staging")


@pytest.mark.parametrize("repo", ["github"], indirect=True)
@pytest.mark.parametrize("fails", ["pr list", "pr create", "pr edit"])
def test_a_pull_request_that_fails_leaves_nothing_behind(
    repo: Path,
    promote: Callable[..., None],
    problem: Any,
    fails: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fails == "pr edit":
        promote(version="1")
    with monkeypatch.context() as patch, problem(f"`gh {fails}` failed: not allowed"):
        patch.setenv("GH_FAILS", fails)
        promote(version="3")
    promote(version="3")
    _merge("staging")
    assert b'version: "3"' in _release_file("staging")


@pytest.mark.parametrize("repo", ["none", "github", "gitlab"], indirect=True)
def test_a_push_that_is_refused_leaves_nothing_behind(
    repo: Path, promote: Callable[..., None], problem: Any
) -> None:
    hook = repo.parent / "server/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is frozen' >&2\nexit 1\n")
    hook.chmod(0o755)
    _git("config", "receive.advertisePushOptions", "true", at="../server")
    with problem("git push: .*main is frozen"):
        promote(version="1")


def test_status_says_what_runs_where(
    mlops: Mlops, repo: Path, promote: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    status = mlops("release.status")
    promote(version="1", images="images.json")
    _merge("staging")
    capsys.readouterr()
    status.show("", as_json=True)
    staging, prod = json.loads(capsys.readouterr().out)
    assert staging["version"] == "1"
    assert staging["model_digest"] == _digest("1")
    assert staging["gate"] == "passed"
    assert staging["drift"] == {"date": "2013-12-30", "judged": True, "moved": 2}
    assert staging["images"] == {name: IMAGES[name] for name in IMAGES if name != "notebook"}
    assert staging["since"]
    assert staging["commit"] == _git("rev-parse", "main", at="../server").strip()
    assert [prod[name] for name in ("version", "gate", "drift", "since")] == [None] * 4

    _write("prod", f"serving: {{model: {{version: '9', digest: {'a' * 64}}}}}\n")
    status.show("", as_json=False)
    _, *rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:3] == ["staging", "1", "passed"]
    assert rows[0][4:] == [
        "2 on 2013-12-30",
        f"pipeline {'1' * 12}, serve {'2' * 12}, dashboard {'3' * 12}, engine {'5' * 12}",
    ]
    assert rows[1][:3] == ["prod", "9", "unknown version"]
    assert rows[1][4] == "not judged on 2013-12-31"


def _model(folder: Path, number: str) -> Path:
    model = folder / f"model{number}"
    (model / "data").mkdir(parents=True)
    (model / "data/weights").write_text(number)
    (model / "MLmodel").write_text("flavors: {python_function: {data: data, loader_module: toy}}")
    return model


def _digest(number: str) -> str:
    from hashlib import sha256

    content = sha256(number.encode()).hexdigest()
    return sha256(f"{content}  weights\n".encode()).hexdigest()


def _git(*arguments: str, at: str = ".") -> str:
    command = ["git", "-C", at, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def _file(env: str, folder: Path) -> Path:
    return folder / f"deploy/envs/{env}/release.yaml"


def _here() -> tuple[str, ...]:
    """The branch, all branches, the status and the changes of the checkout."""
    refs = _git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads")
    return _git("symbolic-ref", "HEAD"), refs, _git("status", "--porcelain"), _git("diff", "HEAD")


def _all() -> tuple[str, ...]:
    return *_here(), _git("for-each-ref", at="../server")


def _gh_calls() -> list[str]:
    return Path("../gh-calls").read_text().splitlines()


def _merge(env: str) -> None:
    """Merge the proposed release on the server, and delete its branch."""
    _git("branch", "--force", "work", "main", at="../server")
    _git("update-ref", "refs/heads/main", f"refs/heads/release-{env}", at="../server")
    _git("branch", "--delete", "--force", "work", f"release-{env}", at="../server")
    _git("fetch", "--quiet", "origin", "main")
    _git("merge", "--quiet", "FETCH_HEAD")
    Path("../open").unlink(missing_ok=True)


def _release_file(env: str) -> bytes:
    """The release file on the server's main."""
    name = f"main:deploy/envs/{env}/release.yaml"
    return subprocess.run(["git", "-C", "../server", "show", name], capture_output=True).stdout


def _commit_graph(graph: dict[str, Any]) -> None:
    Path("orchestration/pipelines.json").write_text(json.dumps({"pipelines": graph}))
    _git("commit", "--quiet", "--all", "--message", "Another graph")
    _git("push", "--quiet", "origin", "HEAD:main")


def _write(env: str, text: str) -> None:
    """Commit and push a release file that was edited by hand."""
    _git("pull", "--quiet", "origin", "main")
    _file(env, Path()).write_text(text)
    _git("commit", "--quiet", "--all", "--message", "By hand")
    _git("push", "--quiet", "origin", "HEAD:main")
