"""The graph of a release: the pipelines of the commit that its images were built from."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from ..errors import Problem
from ..runner.graph import FILE
from ..vcs.git import git

Graph = dict[str, dict[str, Any]]
"""Pipelines by name, as `mlops graph` writes them."""

BLOCK = re.compile(r"^graph:.*\n(?:(?:(?:#.*)?\n)*[ ].*\n)*", re.MULTILINE)
"""The lines of a release file that hold the graph."""

# Text that needs no quotes. Helm reads YAML 1.1, where a stage named `on` is a boolean.
_PLAIN = re.compile(
    r"(?!(y|yes|n|no|on|off|true|false|null)$)[a-z][\w./@-]*(:[\w./@-]+)?|\d+m|[\d.]+[kMGTP]i?",
    re.IGNORECASE,
)


def committed(root: Path) -> Graph:
    """Return the graph of the commit that is checked out.

    Raises:
        Problem: the commit has none.
    """
    try:
        graph: Graph = json.loads(git(root, "show", f"HEAD:./{FILE}"))["pipelines"]
    except Problem:
        raise Problem(f"the commit has no {FILE}: type make graph, and commit it") from None
    return graph


def styled(node: object) -> object:
    """Return the graph for YAML, with a mapping or list of scalars on a single line."""
    if isinstance(node, str):
        return node if _PLAIN.fullmatch(node) else DoubleQuotedScalarString(node)
    if isinstance(node, dict):
        inner = [*node.values()]
        block: CommentedMap | CommentedSeq = CommentedMap(
            {styled(key): styled(value) for key, value in node.items()}
        )
    elif isinstance(node, list):
        inner = node
        block = CommentedSeq(map(styled, node))
    else:
        return node
    if not any(isinstance(each, dict | list) for each in inner):
        block.fa.set_flow_style()
    return block


def changes(now: Graph, then: Graph) -> Iterator[str]:
    """Yield one line of Markdown per changed pipeline, naming its stages; the diff has details."""
    for name in sorted({*now, *then}):
        old, new = _parts(now.get(name)), _parts(then.get(name))
        parts_by_change = {
            "new": new.keys() - old.keys(),
            "changed": {part for part in new.keys() & old.keys() if new[part] != old[part]},
            "removed": old.keys() - new.keys(),
        }
        words = [
            f"{change} {', '.join(part for part in {**new, **old} if part in parts)}"
            for change, parts in parts_by_change.items()
            if parts
        ]
        if words:
            yield f"- `graph.{name}`: {'; '.join(words)}"


def _parts(pipeline: dict[str, Any] | None) -> dict[str, Any]:
    """Return a pipeline's stages by id, and its schedule."""
    if pipeline is None:
        return {}
    stages = {stage["id"]: stage for stage in pipeline["stages"]}
    return stages | {"its schedule": pipeline["schedule"]}
