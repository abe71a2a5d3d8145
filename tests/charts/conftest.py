"""Fixtures of the chart tests: all variants of the chart, rendered once."""

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from charts import COMPONENTS, Form, forms, helm, manifests
from schemas import Schema, Unreachable, crds


@pytest.fixture(scope="session")
def made(render: Callable[..., Path]) -> Callable[..., Path]:
    """Render a repo with an engine and components, once per combination."""

    @cache
    def run(engine: str, chosen: tuple[str, ...] = COMPONENTS) -> Path:
        return render({"orchestrator": engine, "components": [*chosen]})

    return run


@pytest.fixture(scope="session")
def every_form(made: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[Form]:
    """All variants of the chart: engines, components, environments and values."""
    return [*forms(made, tmp_path_factory.mktemp("values"))]


@pytest.fixture(scope="session")
def rendered(every_form: list[Form], need: Callable[[str], str]) -> dict[str, set[str]]:
    """Objects of each variant by its name."""
    objects = {}
    for form in every_form:
        done = helm(need("helm"), form, "template", "late-flights", "--namespace", "prod")
        assert done.returncode == 0, f"{form.name}: {done.stderr}"
        objects[form.name] = manifests(done.stdout)
    return objects


@pytest.fixture(scope="session")
def distinct(rendered: dict[str, set[str]]) -> list[str]:
    """The distinct objects of all variants."""
    return sorted(set().union(*rendered.values()))


@pytest.fixture(scope="session")
def definitions(need: Callable[[str], str]) -> list[Schema]:
    """CRDs of the kinds that the chart uses."""
    try:
        return crds(need("go"))
    except Unreachable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def kubectl(need: Callable[[str], str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run kubectl on the cluster of KUBECONFIG; without it, the test is skipped."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: no API server to check the chart with")
    tool = need("kubectl")

    def run(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [tool, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def namespace(
    kubectl: Callable[..., subprocess.CompletedProcess[str]], definitions: list[Schema]
) -> Iterator[str]:
    """A namespace that warns about unrestricted pods, in a cluster with all CRDs installed."""
    installed = kubectl("get", "crd", "-o", "name").stdout.split()
    missing = [
        each
        for each in definitions
        if f"customresourcedefinition.apiextensions.k8s.io/{each['metadata']['name']}"
        not in installed
    ]
    name = f"mlops-tests-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": [space, *missing]})
    done = kubectl("apply", "--server-side", "-f", "-", stdin=manifest)
    assert done.returncode == 0, done.stderr
    kinds = [f"crd/{each['metadata']['name']}" for each in definitions]
    done = kubectl("wait", "--for=condition=Established", "--timeout=60s", *kinds)
    assert done.returncode == 0, done.stderr
    yield name
    kubectl("delete", "--wait=false", "-f", "-", stdin=manifest)
