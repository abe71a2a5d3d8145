"""`make update` without stand-ins, including the lock, environment, graph and platform tests."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from repos import Repo

pytestmark = [pytest.mark.usefixtures("once"), pytest.mark.xdist_group("journeys")]


def test_a_release_is_applied_completely(
    repo: Repo, template: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    platform, folder = tmp_path / "platform", tmp_path / "team"
    git(tmp_path, "clone", "--quiet", str(template), str(platform))
    dependency = '    "pandas>=2.3,<3",\n'
    for file, old, new in (
        ("template/pyproject.toml.jinja", dependency, f'    "packaging>=24",\n{dependency}'),
        ("template/dvc.yaml", "stages:", "# Newer.\nstages:"),
        ("CHANGELOG.md", "\n## ", "\n## 999.1.0\n\nA new dependency.\n\n## "),
    ):
        text = (platform / file).read_text()
        assert old in text
        (platform / file).write_text(text.replace(old, new, 1))
    git(platform, "commit", "--quiet", "--all", "--message", "Release")
    git(platform, "tag", "v999.1.0")
    ignored = shutil.ignore_patterns(".venv*", ".*_cache", "__pycache__", "cache", "tmp")
    shutil.copytree(repo.folder, folder, ignore=ignored, symlinks=True)
    team = dataclasses.replace(repo, folder=folder)
    # It may name the template of another worker, which has trained the repo.
    answers = folder / ".copier-answers.yml"
    moved = f"_src_path: {platform}"
    text, times = re.subn(r"^_src_path: .*$", moved, answers.read_text(), flags=re.MULTILINE)
    assert times == 1
    answers.write_text(text)
    (folder / "orchestration/pipelines.json").write_text("{}\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Ours")

    # test_scenario.py and test_update.py run the other platform tests.
    done = team.run("make", "update", PYTEST_ADDOPTS="-k test_contract")
    assert done.code == 0
    assert "A new dependency." in done.output
    assert " passed" in done.output
    package = (folder / "uv.lock").read_text().split('source = { editable = "." }')[1]
    assert '{ name = "packaging" }' in package.split("\n]", 1)[0]
    for check in ("conflicts", "graph", "template"):
        assert team.run("uv", "run", "--frozen", "mlops", "doctor", check).code == 0
