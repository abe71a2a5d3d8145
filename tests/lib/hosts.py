"""The CI files of GitHub and GitLab, parsed into jobs and the make targets that they run."""

import re
from pathlib import Path
from typing import Any

import yaml

Job = dict[str, Any]
Target = tuple[str, dict[str, str]]


def workflows(repo: Path) -> dict[str, Any]:
    """GitHub's workflows by name."""
    files = sorted(repo.glob(".github/workflows/*.yml"))
    # YAML 1.1 reads the key `on` as a boolean.
    return {x.stem: yaml.safe_load(x.read_text().replace("\non:", '\n"on":')) for x in files}


def pipeline(repo: Path) -> dict[str, Job]:
    """GitLab's jobs by name, each merged with the jobs that it extends."""
    merged: dict[str, Job] = {}
    for part in yaml.safe_load((repo / ".gitlab-ci.yml").read_text())["include"]:
        merged |= yaml.safe_load((repo / part["local"]).read_text())
    merged.pop("variables")
    return {name: _extended(merged, name) for name in merged if not name.startswith(".")}


def targets(script: str) -> list[Target]:
    """Make targets that a script runs, each with its variables."""
    calls = re.findall(r"^ *make ([\w-]+)(.*)$", script, re.MULTILINE)
    return [(name, dict(re.findall(r'(\w+)="?([^"\s]*)', rest))) for name, rest in calls]


def changed(patterns: list[str], file: str) -> bool:
    """Return True if a file matches GitLab's `rules:changes`, which uses Ruby's `File.fnmatch?`."""
    return any(re.fullmatch(_expression(each), file) for each in _braces(patterns))


def _braces(patterns: list[str]) -> list[str]:
    """Expand one pair of braces in each pattern."""
    expanded = []
    for pattern in patterns:
        if choice := re.search(r"\{(.+?)\}", pattern):
            expanded += [pattern.replace(choice[0], each) for each in choice[1].split(",")]
        else:
            expanded.append(pattern)
    return expanded


def _expression(pattern: str) -> str:
    """Translate a glob to a regular expression: only `**/` matches across folders."""
    wildcards = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    words = re.findall(r"\*\*/|\*|\?|\[!.\]|[^*?\[]+", pattern)
    assert "".join(words) == pattern, f"the tests cannot translate the pattern {pattern}"
    return "".join(
        wildcards.get(word) or (f"[^{word[2]}/]" if word[0] == "[" else re.escape(word))
        for word in words
    )


def _extended(merged: dict[str, Job], name: str) -> Job:
    own = dict(merged[name])
    parents = own.pop("extends", [])
    job: Job = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        job = _merged(job, _extended(merged, parent))
    return _merged(job, own)


def _merged(below: Job, above: Job) -> Job:
    """Merge two mappings recursively, as `extends` does."""
    merged = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merged(below[key], above[key])
    return merged
