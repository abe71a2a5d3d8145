"""Jinja stays rare: the files in template/ that use it, and the answers that each of them uses."""

import ast
import os
import re
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest

INCLUDE = re.compile(r"{% include 'model_types/' ~ model_type ~ '(/[\w./]+)' -?%}")
FILTER = re.compile(r"{% filter replace\('from ' ~ model_type ~ ' import', .*?%}")

# Add a new file or answer here on purpose only, with the reason why a static file is not enough.
CARRIES = {
    ".dvc/config": {"dvc_remote_url"},
    ".gitattributes": {"ownership"},
    "CODEOWNERS": {"ownership", "team"},
    "README.md": {
        "components",
        "description",
        "dvc_remote_url",
        "mlflow_tracking_uri",
        "ownership",
        "package_name",
        "project_name",
        "repo_url",
    },
    "deploy/argocd/access.yaml": {"orchestrator", "project_slug", "repo_url"},
    "deploy/argocd/applicationset.yaml": {"project_slug", "repo_url"},
    "deploy/chart/Chart.yaml": {"description", "project_slug"},
    "deploy/envs/prod/kustomization.yaml": {"project_slug"},
    "deploy/envs/staging/kustomization.yaml": {"project_slug"},
    "feature_repo/definitions.py": {"model_type"},
    "feature_repo/feature_store.yaml": {"package_name"},
    # The notebook imports the package by its name.
    "notebooks/explore.ipynb": {"model_type", "package_name"},
    "orchestration/pipelines.json": {"components"},
    "params.yaml": {"model_type"},
    "pyproject.toml": {
        "components",
        "description",
        "mlflow_tracking_uri",
        "model_type",
        "orchestrator",
        "package_name",
        "project_slug",
    },
    "reports/dvc.yaml": {"model_type"},
    "src/{{ package_name }}/data.py": {"model_type"},
    "src/{{ package_name }}/features.py": {"model_type"},
    "src/{{ package_name }}/metrics.py": {"model_type"},
    # Includes this repo's changelog.
    "src/{{ package_name }}/mlops/CHANGELOG.md": set(),
    "src/{{ package_name }}/mlops/layers.toml": {"package_name"},
    "src/{{ package_name }}/model.py": {"model_type"},
    "src/{{ package_name }}/schema.py": {"model_type"},
    # The tests import the package by its name.
    "tests/conftest.py": {"model_type", "package_name"},
    "tests/test_features.py": {"model_type", "package_name"},
    "tests/test_model.py": {"model_type", "package_name"},
    "{{ _copier_conf.answers_file }}": {"_copier_answers"},
}


@pytest.fixture(scope="module")
def sources(root: Path) -> dict[str, str]:
    """Text of each file with Jinja, by the path of the rendered file."""
    folder = root / "template"
    return {
        file.relative_to(folder).as_posix().removesuffix(".jinja"): file.read_text()
        for file in folder.rglob("*.jinja")
    }


def test_files_with_jinja_are_listed_with_their_answers(sources: dict[str, str]) -> None:
    parser = jinja2.Environment(extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"])
    carries = {
        name: jinja2.meta.find_undeclared_variables(parser.parse(text))
        for name, text in sources.items()
    }
    assert carries == CARRIES


def test_paths_use_jinja_only_for_the_package_and_the_answers_file(root: Path) -> None:
    folder = root / "template"
    names = {path.name for path in folder.rglob("*") if "{" in path.name}
    assert names == {"{{ package_name }}", "{{ _copier_conf.answers_file }}.jinja"}


def test_each_model_type_has_exactly_the_included_files(
    root: Path, sources: dict[str, str], questions: dict[str, Any]
) -> None:
    included = {path for text in sources.values() for path in INCLUDE.findall(text)}
    assert included
    for kind in questions["model_type"]["choices"].values():
        folder = root / "model_types" / kind
        # `__init__.py` and the link `mlops` make relative imports work in this checkout.
        present = {
            f"/{path.relative_to(folder).as_posix()}"
            for path in _files(folder)
            if path != folder / "__init__.py"
        }
        missing, dead = included - present, present - included
        assert not missing, f"model_types/{kind} lacks {missing}"
        assert not dead, f"no template includes {dead} of model_types/{kind}"


def test_only_includes_use_the_model_type(root: Path) -> None:
    for path in _files(root / "template"):
        text = FILTER.sub("", INCLUDE.sub("", path.read_text()))
        assert "model_type" not in text, path


def test_included_files_contain_no_jinja(root: Path) -> None:
    for path in [*_files(root / "model_types"), root / "CHANGELOG.md"]:
        assert not re.search(r"{[{%#]", path.read_text()), f"Jinja would render {path}"


def test_unrendered_python_files_parse(root: Path) -> None:
    files = [*_files(root / "template"), *_files(root / "model_types")]
    modules = [path for path in files if path.suffix == ".py"]
    assert len(modules) > 20
    for path in modules:
        ast.parse(path.read_text(), str(path))


def _files(folder: Path) -> list[Path]:
    """Return the files in a folder without bytecode; links are not followed."""
    paths = [Path(base) / name for base, _, names in os.walk(folder) for name in names]
    return [path for path in paths if path.suffix != ".pyc"]
