"""Compare the metrics at a base commit and here, by running the pipeline on a sample of rows."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from .. import files, params, reporting
from ..data import dataset
from ..errors import Problem
from ..runner.workspace import environment, scratch
from ..settings import settings
from ..vcs.git import ask, git, top

OUTPUT = files.REPORTS / "sample.md"
TITLE = "## The pipeline on a sample"


class Params(BaseModel):
    """The section `sample` of params.yaml: overrides of other sections, mainly of `data`."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, dict[str, Any]]


def run(base: str) -> None:
    """Run the stages up to `evaluate` at a base and here, and write reports/sample.md.

    Each run has its own folder, and stages that the change does not affect run once. The gate does
    not judge a sample, since its bounds are for all rows, and nothing is registered.

    Raises:
        Problem: there is no such commit, or the pipeline fails here. It may fail at the base.
    """
    root = settings().root
    values = params.section("sample", Params, optional=True).model_extra or {}
    _check_names(values)
    commit = (ask(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}") or "").strip()
    if not commit:
        raise Problem(f"there is no commit {base}: type `git fetch origin`, or set another BASE=")
    with tempfile.TemporaryDirectory(prefix="mlops-", ignore_cleanup_errors=True) as name:
        cache = Path(name, "cache")
        clone, prefix = Path(name, "base"), git(root, "rev-parse", "--show-prefix").strip()
        git(root, "clone", "--quiet", "--shared", "--no-checkout", str(top(root)), str(clone))
        git(clone, "checkout", "--quiet", "--detach", commit)
        old = clone / prefix
        print(f"At {commit[:8]}:", flush=True)
        has_pipeline = all((old / name).exists() for name in (".dvc", params.FILE))
        before = scores(old, values, cache) if has_pipeline else None
        print("Here:", flush=True)
        after = scores(root, values, cache)
    if after is None:
        raise Problem("the pipeline failed on the sample: see above")
    files.write_text(OUTPUT, page(commit[:8], before, after, bool(values)))
    print(f"\n{OUTPUT.read_text()}")


def scores(root: Path, values: Mapping[str, Any], cache: Path) -> dict[str, Any] | None:
    """Return the metrics of the repo in `root` with these parameters, or None if a stage fails."""
    conf = settings()
    with scratch(root) as folder:
        _override(folder / params.FILE, values)
        cache.mkdir(exist_ok=True)
        (folder / ".dvc" / "cache").symlink_to(cache)
        env = os.environ | environment(conf, folder, "sample")
        command = [sys.executable, "-m", "dvc", "repro", "evaluate"]
        if subprocess.run(command, env=env, check=False).returncode:
            return None
        metrics: dict[str, Any] = files.read_json(files.METRICS)
        return metrics | {"judged_on": dataset.judged_on()}


def page(base: str, before: Mapping[str, Any] | None, after: Mapping[str, Any], less: bool) -> str:
    """Return the comparison as Markdown; `less` is false if the run used all rows."""
    lines = [TITLE, "", f"| metric | {base} | here | change |", "| --- | ---: | ---: | ---: |"]
    same = before is None or before.get("judged_on") == after.get("judged_on")
    for name in sorted({*reporting.names(before or {}), *reporting.names(after)}):
        old, new = (before or {}).get(name), after.get(name)
        change = f"{new - old:+,.4f}" if old is not None and new is not None and same else ""
        cells = (reporting.cell(name), reporting.number(old), reporting.number(new), change)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"On {after['rows']:,} test rows."]
    if not less:
        lines.append(f"These are all test rows: {params.FILE} has no section `sample`.")
    if before and not same:
        lines.append(
            f"{base} has {before['rows']:,} other test rows: the metrics are not comparable."
        )
    if before is None:
        lines.append(f"{base} has no pipeline that runs with the current parameters and libraries.")
    lines.append("The gate does not judge a sample: it judges the training on all rows.")
    return "\n".join(lines) + "\n"


def _check_names(values: Mapping[str, Any]) -> None:
    """Refuse a name that no section has: with a typo, the run would use all rows."""
    recorded = params.recorded()
    for section, changed in values.items():
        for name in changed:
            if name not in recorded.get(section, {}):
                raise Problem(f"{params.FILE}: sample.{section}.{name}: {section} has no {name}")


def _override(file: Path, values: Mapping[str, Any]) -> None:
    """Override parameters; the file is a copy, so its comments may be lost."""
    sections = params.load(file.read_text(encoding="utf-8"))
    for section, changed in values.items():
        sections[section] = {**(sections.get(section) or {}), **changed}
    file.write_text(params.dump(sections), encoding="utf-8")
