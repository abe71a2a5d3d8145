"""Each merge request has one comment, which is updated; its script runs without any setup."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# A stand-in for gh that stores the comments of a pull request and prints one per line.
GH = f"""\
#!{sys.executable}
import json, os, pathlib, sys
stored = pathlib.Path(__file__).with_name("comments.json")
comments = json.loads(stored.read_text())
_, path, *options = sys.argv[1:]
if os.environ["GH_TOKEN"] != "good":
    sys.exit("gh: Bad credentials (HTTP 401)")
if "--jq" in options:
    assert path == "repos/Acme/Late-Flights/issues/7/comments?per_page=100", path
    assert "--paginate" in options
    print(*map(json.dumps, comments), sep="\\n")
    sys.exit()
method, body = options[options.index("--method") + 1], json.load(sys.stdin)
parent, _, number = path.rpartition("/")
if method == "POST" and path == "repos/Acme/Late-Flights/issues/7/comments":
    comments.append({{"id": len(comments), "user": {{"type": "Bot"}}, **body}})
elif method == "PATCH" and parent == "repos/Acme/Late-Flights/issues/comments":
    comments[int(number)] |= body
else:
    sys.exit(f"gh: {{method}} {{path}}")
stored.write_text(json.dumps(comments))
"""

Post = Callable[..., subprocess.CompletedProcess[str]]
TITLE = "## The pipeline on a sample"


class GitLab(BaseHTTPRequestHandler):
    """A server with the notes of a merge request, which requires a token."""

    notes: list[dict[str, Any]]

    def _answer(self, code: int, value: object) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def _serve(self) -> None:
        path, _, _ = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers["PRIVATE-TOKEN"] != "good":
            return self._answer(401, {})
        if not path.startswith("/api/v4/projects/5/merge_requests/7/notes"):
            return self._answer(404, {})
        match self.command:
            case "POST":
                self.notes.append({"id": len(self.notes), **json.loads(body)})
            case "PUT":
                self.notes[int(path.rsplit("/", 1)[1])] |= json.loads(body)
        return self._answer(200, self.notes)

    do_GET = do_POST = do_PUT = _serve  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Disable the log."""


@pytest.fixture
def gitlab_server() -> Iterator[str]:
    GitLab.notes = [{"id": 0, "body": "Looks good"}]
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitLab)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/v4"
    server.shutdown()


@pytest.fixture
def post(root: Path, tmp_path: Path, gitlab_server: str) -> Post:
    """Post a text on a merge request, as a CI job does."""
    script = root / "template/src/{{ package_name }}/mlops/ci/comment.py"
    file = tmp_path / "sample.md"

    def run(text: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        if text:
            file.write_text(f"{TITLE}\n{text}\n")
        gitlab = {"CI_API_V4_URL": gitlab_server, "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "7"}
        env = {"PATH": os.environ["PATH"], **gitlab, **env}
        command = [sys.executable, "-I", str(script), str(file)]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return run


def test_there_is_one_comment_and_it_is_updated(post: Post) -> None:
    for number in ("1", "2"):
        assert post(number, GITLAB_CI="true", COMMENT_TOKEN="good").returncode == 0
        bodies = [note["body"] for note in GitLab.notes]
        assert bodies == ["Looks good", f"{TITLE}\n{number}\n"]


@pytest.fixture
def comments(tmp_path: Path) -> Callable[[], list[str]]:
    """Return the bodies of a pull request's comments, which start with those of others."""
    gh, stored = tmp_path / "bin/gh", tmp_path / "bin/comments.json"
    gh.parent.mkdir()
    gh.write_text(GH)
    gh.chmod(0o755)
    others = {f"{TITLE}: is it right?": "User", "## Coverage": "Bot"}
    first: list[Any] = [{"body": body, "user": {"type": kind}} for body, kind in others.items()]
    first.append({"body": TITLE, "user": None})
    stored.write_text(json.dumps([{"id": number, **each} for number, each in enumerate(first)]))
    return lambda: [each["body"] for each in json.loads(stored.read_text())]


def test_on_github_the_comments_of_other_jobs_are_kept(
    post: Post, comments: Callable[[], list[str]], tmp_path: Path
) -> None:
    env = {"GITHUB_REPOSITORY": "Acme/Late-Flights", "PULL_REQUEST": "7"}
    env |= {"GITHUB_ACTIONS": "true", "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    before = comments()
    for number in ("1", "2"):
        done = post(number, **env, GH_TOKEN="good")
        assert done.returncode == 0, done.stderr
        assert comments() == [*before, f"{TITLE}\n{number}\n"]
    done = post("3", **env, GH_TOKEN="bad")
    assert done.returncode == 1
    assert done.stderr == (
        "comment: gh api repos/Acme/Late-Flights/issues/7/comments?per_page=100:"
        " gh: Bad credentials (HTTP 401)\n"
    )


def test_a_missing_token_is_reported_without_an_error(post: Post) -> None:
    done = post("1", GITLAB_CI="true")
    assert done.returncode == 0
    assert "COMMENT_TOKEN is not set" in done.stdout
    assert len(GitLab.notes) == 1


@pytest.mark.parametrize(
    ("text", "env", "error"),
    [
        ("1", {"GITLAB_CI": "true", "COMMENT_TOKEN": "bad"}, "HTTP Error 401"),
        ("1", {}, "not a GitHub Actions or GitLab CI job"),
        ("", {"GITLAB_CI": "true", "COMMENT_TOKEN": "good"}, "type `make sample`"),
    ],
    ids=["refused", "by-hand", "nothing"],
)
def test_errors_are_reported_in_one_line(
    post: Post, text: str, env: dict[str, str], error: str
) -> None:
    done = post(text, **env)
    assert done.returncode == 1
    assert error in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "bad" not in done.stderr
