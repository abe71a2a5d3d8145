"""Post a Markdown file on the pull or merge request of this CI job; the next one replaces it.

It runs by itself, before anything is installed: `python3 comment.py FILE`.
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
    """Post, or say why not."""
    if not file.exists():
        raise SystemExit(f"comment: no {file}: type `make sample`")
    if "GITLAB_CI" in os.environ:
        _on_gitlab(file.read_text())
    elif "GITHUB_ACTIONS" in os.environ:
        _on_github(file)
    else:
        raise SystemExit("comment: this is no job of GitHub Actions or GitLab CI")


def _on_github(file: Path) -> None:
    last = ("--edit-last", "--create-if-none")
    number, repo = os.environ["PULL_REQUEST"], os.environ["GITHUB_REPOSITORY"]
    command = ["gh", "pr", "comment", number, "--repo", repo, *last, "--body-file", str(file)]
    raise SystemExit(subprocess.run(command, check=False).returncode)


def _on_gitlab(text: str) -> None:
    """GitLab lets no token of a job comment, so this needs COMMENT_TOKEN."""
    env = os.environ
    if not (token := env.get("COMMENT_TOKEN")):
        print("COMMENT_TOKEN is not set; the numbers stay beside the merge request, as an artifact")
        return
    project, request = env["CI_PROJECT_ID"], env["CI_MERGE_REQUEST_IID"]
    notes = f"{env['CI_API_V4_URL']}/projects/{project}/merge_requests/{request}/notes"
    title = text.splitlines()[0]
    there = _ask(f"{notes}?per_page=100", token)
    mine = [note["id"] for note in there if note["body"].startswith(title)]
    if mine:
        _ask(f"{notes}/{mine[0]}", token, "PUT", text)
    else:
        _ask(notes, token, "POST", text)


def _ask(url: str, token: str, method: str = "GET", text: str = "") -> Any:
    headers = {"PRIVATE-TOKEN": token, "Content-Type": "application/json"}
    body = json.dumps({"body": text}).encode() if text else None
    try:
        asked = urllib.request.Request(url, body, headers, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)
    except (urllib.error.URLError, TimeoutError) as error:
        raise SystemExit(f"comment: {method} {url}: {error}") from None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
