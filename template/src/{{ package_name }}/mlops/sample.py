"""What a change does to the metrics: the pipeline on a sample of the rows, at a base and here."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from . import dataset, files, params, report
from .errors import Problem
from .git import ask, git, top
from .scratch import environment, scratch
from .settings import settings

OUTPUT = files.REPORTS / "sample.md"
TITLE = "## The pipeline on a sample"


class Params(BaseModel):
    """The section `sample` of params.yaml: other values of other sections, `data` above all."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, dict[str, Any]]


def run(base: str) -> None:
    """The stages up to `evaluate`, twice, in folders of their own → reports/sample.md.

    The bounds of the gate are those of all rows, so it does not judge a sample, and nothing is
    registered. Stages that the change does not touch run once.

    Raises:
        Problem: there is no such commit, or the pipeline fails here; at the base it may.
    """
    root = settings().root
    values = params.section("sample", Params, optional=True).model_extra or {}
    _known(values)
    commit = (ask(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}") or "").strip()
    if not commit:
        raise Problem(f"git knows no commit {base}: type `git fetch origin`, or another BASE=")
    with tempfile.TemporaryDirectory(prefix="mlops-", ignore_cleanup_errors=True) as name:
        cache = Path(name, "cache")
        clone, prefix = Path(name, "base"), git(root, "rev-parse", "--show-prefix").strip()
        git(root, "clone", "--quiet", "--shared", "--no-checkout", str(top(root)), str(clone))
        git(clone, "checkout", "--quiet", "--detach", commit)
        old = clone / prefix
        print(f"At {commit[:8]}:", flush=True)
        there = all((old / name).exists() for name in (".dvc", params.FILE))
        before = scores(old, values, cache) if there else None
        print("Here:", flush=True)
        after = scores(root, values, cache)
    if after is None:
        raise Problem("the pipeline fails on the sample: see above")
    files.write_text(OUTPUT, page(commit[:8], before, after, bool(values)))
    print(f"\n{OUTPUT.read_text()}")


def scores(root: Path, values: Mapping[str, Any], cache: Path) -> dict[str, Any] | None:
    """The metrics of the repo in `root` with these parameters; None where a stage fails."""
    conf = settings()
    with scratch(root) as folder:
        _override(folder / params.FILE, values)
        cache.mkdir(exist_ok=True)
        (folder / ".dvc" / "cache").symlink_to(cache)
        env = os.environ | environment(conf, folder, "sample")
        command = [sys.executable, "-m", "dvc", "repro", "evaluate"]
        if subprocess.run(command, env=env, check=False).returncode:
            return None
        found: dict[str, Any] = files.read_json(files.METRICS)
        return found | {"judged_on": dataset.judged_on()}


def page(base: str, before: Mapping[str, Any] | None, after: Mapping[str, Any], less: bool) -> str:
    """The comparison as Markdown."""
    lines = [TITLE, "", f"| metric | {base} | here | change |", "| --- | ---: | ---: | ---: |"]
    same = before is None or before.get("judged_on") == after.get("judged_on")
    for name in sorted({*report.names(before or {}), *report.names(after)}):
        old, new = (before or {}).get(name), after.get(name)
        change = f"{new - old:+,.4f}" if old is not None and new is not None and same else ""
        lines.append(
            f"| {report.cell(name)} | {report.number(old)} | {report.number(new)} | {change} |"
        )
    lines += ["", f"On {after['rows']:,} test rows."]
    if not less:
        lines.append(f"They are all there are: {params.FILE} has no section `sample`.")
    if before and not same:
        lines.append(f"{base} has {before['rows']:,} other test rows: the metrics do not compare.")
    if before is None:
        lines.append(f"{base} has no pipeline that runs with today's parameters and libraries.")
    lines.append("The gate judges the training on all rows, not this.")
    return "\n".join(lines) + "\n"


def _known(values: Mapping[str, Any]) -> None:
    """Refuse a name that no section has: a slip would leave all rows in."""
    there = params.recorded()
    for section, changed in values.items():
        for name in changed:
            if name not in there.get(section, {}):
                raise Problem(f"{params.FILE}: sample.{section}.{name}: {section} has no {name}")


def _override(file: Path, values: Mapping[str, Any]) -> None:
    """Give parameters other values; the file is a copy, so that its comments may go."""
    sections = params.load(file.read_text(encoding="utf-8"))
    for section, changed in values.items():
        sections[section] = {**(sections.get(section) or {}), **changed}
    file.write_text(params.dump(sections), encoding="utf-8")
