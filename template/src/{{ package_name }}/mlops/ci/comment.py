"""Post a Markdown file as a comment on the pull or merge request of this CI job.

A later comment replaces it. The script is standalone and runs before anything is installed:
`python3 comment.py FILE`.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def main(file: Path) -> None:
    """Post the file, or exit with the reason why not."""
    if not file.exists():
        raise SystemExit(f"comment: no {file}: type `make sample`")
    if "GITLAB_CI" in os.environ:
        _on_gitlab(file.read_text())
    elif "GITHUB_ACTIONS" in os.environ:
        _on_github(file.read_text())
    else:
        raise SystemExit("comment: this is not a GitHub Actions or GitLab CI job")


def _on_github(text: str) -> None:
    """Other jobs comment as the same bot, so our comment is identified by its title."""
    repo = f"repos/{os.environ['GITHUB_REPOSITORY']}"
    comments = f"{repo}/issues/{os.environ['PULL_REQUEST']}/comments"
    title = text.splitlines()[0]
    lines = _gh(f"{comments}?per_page=100", "--paginate", "--jq", ".[] | {id, body, user}")
    posted = [each for each in map(json.loads, lines.splitlines()) if each["user"]]
    mine = [x["id"] for x in posted if x["user"]["type"] == "Bot" and x["body"].startswith(title)]
    where = f"{repo}/issues/comments/{mine[0]}" if mine else comments
    method = "PATCH" if mine else "POST"
    _gh(where, "--method", method, "--input", "-", body=json.dumps({"body": text}))


def _gh(*arguments: str, body: str = "") -> str:
    process = subprocess.run(["gh", "api", *arguments], input=body, capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(f"comment: gh api {arguments[0]}: {' '.join(process.stderr.split())}")
    return process.stdout


def _on_gitlab(text: str) -> None:
    """A GitLab job's own token cannot post comments, so this needs COMMENT_TOKEN."""
    env = os.environ
    if not (token := env.get("COMMENT_TOKEN")):
        print("COMMENT_TOKEN is not set: the metrics are only available as an artifact of this job")
        return
    project, request = env["CI_PROJECT_ID"], env["CI_MERGE_REQUEST_IID"]
    notes = f"{env['CI_API_V4_URL']}/projects/{project}/merge_requests/{request}/notes"
    title = text.splitlines()[0]
    posted = _ask(f"{notes}?per_page=100", token)
    mine = [note["id"] for note in posted if note["body"].startswith(title)]
    if mine:
        _ask(f"{notes}/{mine[0]}", token, "PUT", text)
    else:
        _ask(notes, token, "POST", text)


def _ask(url: str, token: str, method: str = "GET", text: str = "") -> Any:
    headers = {"PRIVATE-TOKEN": token, "Content-Type": "application/json"}
    body = json.dumps({"body": text}).encode() if text else None
    try:
        request = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except (urllib.error.URLError, TimeoutError) as error:
        raise SystemExit(f"comment: {method} {url}: {error}") from None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
