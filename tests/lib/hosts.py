"""What the files of CI say, of GitHub and of GitLab, as jobs that ask something of make."""

import re
from pathlib import Path
from typing import Any

import yaml

Job = dict[str, Any]
Target = tuple[str, dict[str, str]]


def workflows(repo: Path) -> dict[str, Any]:
    """GitHub's workflows, by name."""
    files = sorted(repo.glob(".github/workflows/*.yml"))
    # YAML takes the key `on` for a truth value.
    return {x.stem: yaml.safe_load(x.read_text().replace("\non:", '\n"on":')) for x in files}


def pipeline(repo: Path) -> dict[str, Job]:
    """GitLab's jobs, by name, each with what it extends."""
    merged: dict[str, Job] = {}
    for part in yaml.safe_load((repo / ".gitlab-ci.yml").read_text())["include"]:
        merged |= yaml.safe_load((repo / part["local"]).read_text())
    merged.pop("variables")
    return {name: _extended(merged, name) for name in merged if not name.startswith(".")}


def targets(script: str) -> list[Target]:
    """What a script asks of make: targets, each with its variables."""
    asked = re.findall(r"^ *make ([\w-]+)(.*)$", script, re.MULTILINE)
    return [(name, dict(re.findall(r'(\w+)="?([^"\s]*)', rest))) for name, rest in asked]


def changed(patterns: list[str], file: str) -> bool:
    """Whether a file is one of GitLab's `rules:changes`, as Ruby's File.fnmatch? says there."""
    return any(re.fullmatch(_expression(each), file) for each in _braces(patterns))


def _braces(patterns: list[str]) -> list[str]:
    """The patterns that there are where there are braces."""
    found = []
    for pattern in patterns:
        if choice := re.search(r"\{(.+?)\}", pattern):
            found += [pattern.replace(choice[0], each) for each in choice[1].split(",")]
        else:
            found.append(pattern)
    return found


def _expression(pattern: str) -> str:
    """A pattern in which `**/` stands for folders, and all else for a part of one name."""
    known = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    words = re.findall(r"\*\*/|\*|\?|\[!.\]|[^*?\[]+", pattern)
    assert "".join(words) == pattern, f"the tests do not know all of {pattern}"
    said = [
        known.get(word) or (f"[^{word[2]}/]" if word[0] == "[" else re.escape(word))
        for word in words
    ]
    return "".join(said)


def _extended(merged: dict[str, Job], name: str) -> Job:
    own = dict(merged[name])
    parents = own.pop("extends", [])
    job: Job = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        job = _laid_over(job, _extended(merged, parent))
    return _laid_over(job, own)


def _laid_over(below: Job, above: Job) -> Job:
    """One mapping over another, key by key, as `extends` does it."""
    both = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            both[key] = _laid_over(below[key], above[key])
    return both
