"""Export the pipelines, by DVC's own graph, to the one file that all engines read."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .dvc_repo import address, label, overlap, problems
from .errors import Problem
from .schedule import numbers
from .settings import read, settings

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
    """A mapping whose fields' descriptions say what to type."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class Resources(_Checked):
    """Kubernetes' quantities; the engines use them as requests and as limits."""

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
    """What a stage's `meta:` may say, and what holds where it says nothing."""

    resources: Annotated[Resources, Field(description='like {cpu: "2", memory: 4Gi}')] = Resources()
    gpu: Annotated[int, Field(ge=0, strict=True, description="a number of GPUs, like 1")] = 0
    retries: Annotated[int, Field(ge=0, strict=True, description="a number of retries, like 2")] = 2
    timeout: Annotated[
        int, BeforeValidator(_seconds), Field(description="a number and s, m or h, like 30m")
    ] = 3600


def export(root: Path) -> dict[str, Any]:
    """Give what FILE holds: a pipeline's stages in topological order, with all defaults filled in.

    Raises:
        Problem: a file does not load, the graph has a cycle, a stage's meta or name or a schedule
            is no good, or a stage reads what no other machine can get.
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
    """Write FILE."""
    root = settings().root
    text = _text(root)
    (root / FILE).parent.mkdir(exist_ok=True)
    (root / FILE).write_text(text)


def check() -> None:
    """Raise a Problem where FILE is not what `write` would write."""
    file = settings().root / FILE
    if not file.exists() or file.read_text() != _text(settings().root):
        raise Problem(f"{FILE} is stale: run `make graph`")


def _text(root: Path) -> str:
    return json.dumps(export(root), indent=2) + "\n"


def _stages(file: str, stages: Iterable["PipelineStage"], graph: "DiGraph") -> list[dict[str, Any]]:
    """The stages of one file; an edge to another file's stage is an input and no edge."""
    from networkx import lexicographical_topological_sort

    ids = {stage: label(stage.name) for stage in stages}
    for stage, name in ids.items():
        if not re.fullmatch(r"[a-z].{0,62}", name) or [*ids.values()].count(name) > 1:
            raise Problem(
                f"{file}: {stage.name}: the engines would call it {name!r}, which does not begin "
                "with a letter, is too long (63 characters at most) or another stage's: rename it"
            )
    inner = graph.subgraph(ids)
    return [
        {
            "id": ids[stage],
            "stage": address(stage),
            "needs": sorted(ids[needed] for needed in inner.successors(stage)),
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
    known = key in fields or not key
    wrong = f"is {first['input']!r}" if known else "is no key that an engine knows"
    where = ".".join(["meta", *map(str, first["loc"])])
    raise Problem(f"{file}: {stage.name}: {where} {wrong}: type {hint}")


def _check_outs(graph: "DiGraph") -> None:
    """Engines run each stage on a machine of its own: what it reads must come by DVC's remote."""
    for stage, needed in graph.edges:
        for out in needed.outs:
            if out.use_cache and out.can_push:
                continue
            if any(overlap(dep, out) for dep in stage.deps):
                raise Problem(
                    f"{address(needed)}: {out.def_path}: {address(stage)} reads it, but with "
                    "`cache: false` or `push: false` it never reaches the remote: delete that"
                )
