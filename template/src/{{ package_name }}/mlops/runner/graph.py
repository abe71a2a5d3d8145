"""Export the pipelines from DVC's own graph to the one file that all engines read."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..errors import Problem
from ..settings import read, settings
from .dvc_repo import address, label, overlap, problems
from .schedule import numbers

if TYPE_CHECKING:
    from dvc.stage import PipelineStage
    from networkx import DiGraph

FILE = Path("orchestration/pipelines.json")


def _seconds(text: object) -> int:
    match = re.fullmatch(r"([1-9]\d{0,6})([smh])", str(text))
    if match is None:
        raise ValueError(text)
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


class _Checked(BaseModel):
    """A mapping whose field descriptions tell the user what to type."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class Resources(_Checked):
    """Kubernetes quantities, which the engines use as requests and as limits."""

    cpu: Annotated[
        str,
        Field(
            pattern=r"^([1-9]\d*m|\d+(\.\d{1,3})?)$", description='cores, like "2", "0.5" or 500m'
        ),
    ] = "1"
    memory: Annotated[
        str,
        Field(
            pattern=r"^[1-9]\d*(\.\d+)?([kMGTP]|[KMGTP]i)?$",
            description="bytes, like 512Mi or 4Gi",
        ),
    ] = "2Gi"


class Meta(_Checked):
    """Keys of a stage's `meta:`, with their defaults."""

    resources: Annotated[Resources, Field(description='like {cpu: "2", memory: 4Gi}')] = Resources()
    gpu: Annotated[int, Field(ge=0, strict=True, description="a number of GPUs, like 1")] = 0
    retries: Annotated[int, Field(ge=0, strict=True, description="a number of retries, like 2")] = 2
    timeout: Annotated[
        int, BeforeValidator(_seconds), Field(description="a number and s, m or h, like 30m")
    ] = 3600


def export(root: Path) -> dict[str, Any]:
    """Return the content of FILE: the stages of each pipeline in topological order, with defaults.

    Raises:
        Problem: a file does not load, the graph has a cycle, the meta or name of a stage or a
            schedule is invalid, or a stage reads an out that never reaches the remote.
    """
    from dvc.repo import Repo
    from dvc.repo.index import Index

    pipelines = read(root).pipelines
    with problems(), Repo(str(root), config={"core": {"no_scm": True}}) as repo:
        files = {pipeline.file: str(root / pipeline.file) for pipeline in pipelines.values()}
        indexes = {file: Index.from_file(repo, path) for file, path in files.items()}
        graph = Index.from_indexes(repo, indexes.values()).graph
        _check_outs(graph)
        stages = {file: _stages(file, indexes[file].stages, graph) for file in files}
    return {
        "$schema": "pipelines.schema.json",
        "pipelines": {
            name: {"schedule": numbers(name, pipeline.schedule), "stages": stages[pipeline.file]}
            for name, pipeline in sorted(pipelines.items())
        },
    }


def write() -> None:
    """Write the export to FILE."""
    root = settings().root
    text = _text(root)
    (root / FILE).parent.mkdir(exist_ok=True)
    (root / FILE).write_text(text)


def check() -> None:
    """Raise a Problem if FILE is not what `write` would write."""
    file = settings().root / FILE
    if not file.exists() or file.read_text() != _text(settings().root):
        raise Problem(f"{FILE} is stale: run `make graph`")


def _text(root: Path) -> str:
    return json.dumps(export(root), indent=2) + "\n"


def _stages(file: str, stages: Iterable["PipelineStage"], graph: "DiGraph") -> list[dict[str, Any]]:
    """Return the stages of one file; a stage of another file is an input, so it adds no edge."""
    from networkx import lexicographical_topological_sort

    ids = {stage: label(stage.name) for stage in stages}
    for stage, name in ids.items():
        if not re.fullmatch(r"[a-z].{0,62}", name) or [*ids.values()].count(name) > 1:
            raise Problem(
                f"{file}: {stage.name}: its name in the engines would be {name!r}, which does not "
                "start with a letter, is too long (at most 63 characters) or is another stage's: "
                "rename it"
            )
    inner = graph.subgraph(ids)
    return [
        {
            "id": ids[stage],
            "stage": address(stage),
            "needs": sorted(ids[upstream] for upstream in inner.successors(stage)),
            **_meta(file, stage).model_dump(),
        }
        for stage in lexicographical_topological_sort(inner.reverse(), key=ids.__getitem__)
    ]


def _meta(file: str, stage: "PipelineStage") -> Meta:
    try:
        return Meta.model_validate(stage.meta or {})
    except ValidationError as error:
        first = error.errors()[0]
    model: Any = Meta
    *parents, key = first["loc"] or ("",)
    for parent in parents:
        model = model.model_fields[parent].annotation
    fields = model.model_fields
    hint = fields[key].description if key in fields else ", ".join(fields)
    is_key = key in fields or not key
    wrong = f"is {first['input']!r}" if is_key else "is not a known key"
    where = ".".join(["meta", *map(str, first["loc"])])
    raise Problem(f"{file}: {stage.name}: {where} {wrong}: type {hint}")


def _check_outs(graph: "DiGraph") -> None:
    """Raise a Problem if a stage reads an out that is never pushed: it may run elsewhere."""
    for stage, upstream in graph.edges:
        for out in upstream.outs:
            if out.use_cache and out.can_push:
                continue
            if any(overlap(dep, out) for dep in stage.deps):
                raise Problem(
                    f"{address(upstream)}: {out.def_path}: {address(stage)} reads it, but with "
                    "`cache: false` or `push: false` it never reaches the remote: remove that"
                )
