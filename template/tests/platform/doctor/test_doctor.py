"""`mlops doctor` reports each problem with what to type, and reports nothing else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
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
ANSWERS = "{{ _copier_conf.answers_file }}.jinja"
TEMPLATE = {
    ANSWERS: "{{ _copier_answers | to_nice_yaml -}}\n",
    ".gitattributes": "* mlops=yours\nMakefile mlops=platform\n/shared.txt mlops=shared\n",
    "Makefile": "all:\n",
    "mine.txt": "one\n",
    "shared.txt": "one\n",
}
ENDS = {"ours": "<" * 7, "theirs": ">" * 7}  # so that this file contains no marker


@pytest.fixture
def repo(tmp_path: Path, mlops: Mlops, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repo in the current folder without any problem."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.com")
    folder = tmp_path / "repo"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "orchestration").mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "dvc.yaml").write_text("stages: {train: {cmd: train, outs: [model]}}")
    (folder / ".dvc/config").write_text("[core]\nremote = r\n['remote \"r\"']\nurl = ../remote\n")
    (folder / ".gitignore").write_text("/.dvc/\n__pycache__/\n")
    monkeypatch.chdir(folder)
    mlops("settings").settings.cache_clear()
    mlops("runner.graph").write()
    mlops("settings").settings.cache_clear()  # the tests change what it reads
    _git("init", "--quiet")
    _commit()
    yield folder
    mlops("settings").settings.cache_clear()


@pytest.fixture
def generated(repo: Path, mlops: Mlops, tmp_path: Path) -> Path:
    """Generate the repo from the only release of a template; return the template."""
    if not shutil.which("uv"):
        pytest.skip("Copier runs through uv, which is not installed")
    template = tmp_path / "template"
    template.mkdir()
    for name, text in TEMPLATE.items():
        (template / name).write_text(text)
    _git("init", "--quiet", cwd=template)
    _release(template, "v1.0.0")
    done = mlops("upgrade.copier").copier(
        repo, "copy", "--quiet", "--overwrite", str(template), "."
    )
    assert done.returncode == 0, done.stderr
    _commit()
    return template


@pytest.fixture
def run_checks(mlops: Mlops) -> Callable[..., list[Any]]:
    """Run checks; return what is wrong."""

    def run(*names: str) -> list[Any]:
        checks = mlops("doctor.checks").CHECKS
        findings = [
            finding for name in names for finding in mlops("doctor.doctor")._run(checks[name])
        ]
        return [finding for finding in findings if finding.level != "knowing"]

    return run


@pytest.fixture
def server() -> Iterator[Callable[[int], str]]:
    """Start an HTTP server that answers every request with this status; return its address."""
    started = []

    def start(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        one = HTTPServer(("127.0.0.1", 0), Handler)
        started.append(one)
        Thread(target=one.serve_forever, daemon=True).start()
        return f"http://me:hidden@127.0.0.1:{one.server_port}"

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


def test_all_is_well(repo: Path, run_checks: Callable[..., list[Any]]) -> None:
    assert run_checks("conflicts", "graph", "tools", "services") == []


@pytest.mark.parametrize("end", ENDS)
def test_a_conflict_marker(repo: Path, run_checks: Callable[..., list[Any]], end: str) -> None:
    Path("my notes.txt").write_text(f"one\n{ENDS[end]} before updating\n")
    _git("add", "--all")
    assert [(one.what, one.remedy) for one in run_checks("conflicts")] == [
        ("my notes.txt: conflict markers", "edit my notes.txt, then type: git add 'my notes.txt'")
    ]


def test_a_marker_elsewhere_in_a_line_is_ignored(
    repo: Path, run_checks: Callable[..., list[Any]]
) -> None:
    Path("notes.txt").write_text(f"see {ENDS['ours']} x\n{ENDS['ours']}\n=======\n")
    _git("add", "--all")
    assert run_checks("conflicts") == []


def test_unmerged_files_and_rejected_hunks(
    repo: Path, run_checks: Callable[..., list[Any]]
) -> None:
    Path("notes.txt").write_text("base\n")
    _commit()
    _git("checkout", "--quiet", "-b", "other")
    Path("notes.txt").write_text("theirs\n")
    _commit()
    _git("checkout", "--quiet", "-")
    Path("notes.txt").write_text("ours\n")
    _commit()
    subprocess.run(["git", "merge", "--quiet", "other"], capture_output=True, check=False)
    assert [one.what for one in run_checks("conflicts")] == ["notes.txt: conflict markers"]
    Path("notes.txt").write_text("merged\n")
    Path("a.rej").touch()
    assert {(one.what, one.remedy) for one in run_checks("conflicts")} == {
        ("notes.txt: not merged", "type: git add notes.txt"),
        ("a.rej: lines that did not fit", "put them into a, then type: rm a.rej"),
    }


def test_a_stale_graph(repo: Path, run_checks: Callable[..., list[Any]]) -> None:
    Path("dvc.yaml").write_text("stages: {other: {cmd: other}}")
    (one,) = run_checks("graph")
    assert "make graph" in one.what
    assert one.level == "fix"


def test_missing_programs(
    repo: Path, run_checks: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("orchestration/argo").mkdir()
    Path("deploy/chart").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(repo / "nothing"))
    levels = {one.what.split()[0]: one.level for one in run_checks("tools")}
    needed, useful = dict.fromkeys(("git", "uv", "make"), "fix"), ("argo", "helm", "kubectl")
    assert levels == needed | dict.fromkeys(useful, "advice")


@pytest.mark.parametrize(
    ("status", "away"), [(200, False), (401, False), (404, False), (502, True)]
)
def test_an_mlflow_that_answers(
    repo: Path,
    run_checks: Callable[..., list[Any]],
    server: Callable[[int], str],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    away: bool,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server(status))
    assert [("HTTP 502" in one.what, "hidden" in one.what) for one in run_checks("services")] == (
        [(True, False)] if away else []
    )


def test_an_mlflow_that_is_unreachable(
    repo: Path, run_checks: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hidden@127.0.0.1:9")
    (one,) = run_checks("services")
    assert one.what.startswith("MLflow at http://127.0.0.1:9: ")
    assert "MLFLOW_TRACKING_URI" in one.remedy
    assert one.level == "fix"


def test_a_dvc_remote_that_is_unreachable(
    repo: Path, run_checks: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    Path(".dvc/config").write_text(
        "[core]\nremote = r\n['remote \"r\"']\nurl = s3://bucket\n"
        "endpointurl = http://127.0.0.1:9\naccess_key_id = a\nsecret_access_key = b\n"
    )
    (one,) = run_checks("services")
    assert "dvc remote list" in one.what + one.remedy


def test_a_dvc_remote_that_does_not_answer(
    repo: Path, run_checks: Callable[..., list[Any]], mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Event()
    monkeypatch.setattr(mlops("runner.remote").Remote, "ask", lambda _self: answer.wait())
    monkeypatch.setattr(mlops("doctor.checks"), "DVC_SECONDS", 0.1)
    (one,) = run_checks("services")
    answer.set()
    assert "no answer" in one.what


def test_no_dvc_remote(repo: Path, run_checks: Callable[..., list[Any]]) -> None:
    Path(".dvc/config").write_text("")
    (one,) = run_checks("services")
    assert "dvc remote add" in one.what


@pytest.mark.parametrize(
    ("remote", "differs"),
    [
        ("", False),
        ("https://git.example.com/team/toy", False),
        ("https://me:hidden@git.example.com/Team/toy.git/", False),
        ("git@git.example.com:team/toy.git", False),
        ("ssh://git@git.example.com:2222/team/toy.git", False),
        ("https://me:hidden@git.example.com/other/toy.git", True),
        ("git@example.com:team/toy.git", True),
        ("../toy", True),
    ],
)
def test_an_origin_that_argo_cd_does_not_read(
    repo: Path, run_checks: Callable[..., list[Any]], remote: str, differs: bool
) -> None:
    Path("deploy/argocd").mkdir(parents=True)
    Path("deploy/argocd/applicationset.yaml").write_text(
        "source:\n  repoURL: https://git.example.com/team/toy.git\n"
    )
    if remote:
        _git("remote", "add", "origin", remote)
    assert [one.level for one in run_checks("origin")] == ["advice"] * differs
    assert not any("hidden" in one.what for one in run_checks("origin"))


def test_a_newer_release_and_files_that_drifted(
    repo: Path, generated: Path, run_checks: Callable[..., list[Any]], mlops: Mlops
) -> None:
    assert run_checks("template", "drift") == []
    (generated / "Makefile").write_text("all: new\n")
    _release(generated, "v1.1.0")
    (one,) = run_checks("template")
    assert (one.what, one.remedy, one.level) == (
        "1.1.0 is out, the repo has 1.0.0",
        "make update",
        "advice",
    )
    for name in ("Makefile", "mine.txt", "shared.txt"):
        Path(name).write_text("changed\n")
    (one,) = run_checks("drift")
    assert one.what.startswith("Makefile belongs to the platform, but was changed here")
    assert one.level == "advice"
    information = [one.what for one in mlops("doctor.checks").drift() if one.level == "knowing"]
    assert information == ["shared.txt is shared, and was changed here"]
    Path("Makefile").unlink()
    assert "deleted" in run_checks("drift")[0].what
    Path(".gitattributes").write_text("")
    assert ".gitattributes" in run_checks("drift")[0].remedy


def test_an_unreachable_template_is_advice(
    repo: Path, generated: Path, run_checks: Callable[..., list[Any]]
) -> None:
    generated.rename(generated.with_name("elsewhere"))
    findings = run_checks("template", "drift")
    assert [one.level for one in findings] == ["advice", "advice"]
    assert all("_src_path" in one.what or ".copier-answers" in one.what for one in findings)


def test_a_missing_answers_file_is_advice(repo: Path, run_checks: Callable[..., list[Any]]) -> None:
    assert {one.level for one in run_checks("template", "drift")} == {"advice"}


@pytest.mark.parametrize(
    ("levels", "code"),
    [([], 0), (["knowing"], 0), (["advice"], 3), (["advice", "fix"], 1), (["fix"], 1)],
)
def test_exit_codes(
    mlops: Mlops, monkeypatch: pytest.MonkeyPatch, levels: list[str], code: int
) -> None:
    findings = [mlops("doctor.doctor").Finding("wrong", "type", level) for level in levels]
    monkeypatch.setattr(mlops("doctor.checks"), "CHECKS", {"one": lambda: findings, "two": list})
    assert mlops("doctor.doctor").run([], False) == code


def test_a_check_that_crashes_does_not_hide_the_others(
    mlops: Mlops, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = mlops("doctor.doctor").Finding("wrong", "type this")

    def broken() -> list[Any]:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(mlops("doctor.checks"), "CHECKS", {"one": broken, "two": lambda: [finding]})
    assert mlops("doctor.doctor").run([], False) == 1
    output = capsys.readouterr().out
    assert "ZeroDivisionError: by zero" in output
    assert "type this" in output


def test_the_command_line(repo: Path) -> None:
    command = [str(Path(sys.executable).parent / "mlops"), "doctor"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    assert run("conflicts", "graph").returncode == 0
    unknown = run("nothing")
    assert unknown.returncode == 1
    assert "there are conflicts, graph" in unknown.stderr
    Path("notes.txt").write_text(f"{ENDS['ours']} x\n")
    _git("add", "--all")
    done = run("conflicts", "graph", "--json")
    assert done.returncode == 1
    findings = json.loads(done.stdout)
    assert findings["graph"] == []
    assert findings["conflicts"][0]["level"] == "fix"


def _git(*arguments: str, cwd: Path | None = None) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True, cwd=cwd, env=os.environ)


def _commit(cwd: Path | None = None) -> None:
    _git("add", "--all", cwd=cwd)
    _git("commit", "--quiet", "--message", "Change", cwd=cwd)


def _release(template: Path, version: str) -> None:
    _commit(template)
    _git("tag", version, cwd=template)
