"""The graph of a release: the pipelines of the commit that its images are built of."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from .errors import Problem
from .git import git
from .graph import FILE

Graph = dict[str, dict[str, Any]]
"""Pipelines by name, as `mlops graph` writes them."""

BLOCK = re.compile(r"^graph:.*\n(?:(?:(?:#.*)?\n)*[ ].*\n)*", re.MULTILINE)
"""The lines of a release file that have it."""

# What needs no quotes. Helm reads YAML 1.1, which takes a stage called `on` for a truth value.
_PLAIN = re.compile(
    r"(?!(y|yes|n|no|on|off|true|false|null)$)[a-z][\w./@-]*(:[\w./@-]+)?|\d+m|[\d.]+[kMGTP]i?",
    re.IGNORECASE,
)


def committed(root: Path) -> Graph:
    """The graph of the commit that is checked out.

    Raises:
        Problem: it has none.
    """
    try:
        graph: Graph = json.loads(git(root, "show", f"HEAD:./{FILE}"))["pipelines"]
    except Problem:
        raise Problem(f"the commit has no {FILE}: type make graph, and commit it") from None
    return graph


def styled(node: Any) -> Any:
    """The graph for YAML, with what holds nothing but scalars on a line of its own."""
    if isinstance(node, str):
        return node if _PLAIN.fullmatch(node) else DoubleQuotedScalarString(node)
    if isinstance(node, dict):
        inner = [*node.values()]
        block: Any = CommentedMap({styled(key): styled(value) for key, value in node.items()})
    elif isinstance(node, list):
        inner = node
        block = CommentedSeq(map(styled, node))
    else:
        return node
    if not any(isinstance(each, dict | list) for each in inner):
        block.fa.set_flow_style()
    return block


def changes(now: Graph, then: Graph) -> Iterator[str]:
    """A line of Markdown for each pipeline that changes: it names stages; the diff says how."""
    for name in sorted({*now, *then}):
        old, new = _parts(now.get(name)), _parts(then.get(name))
        said = {
            "new": new.keys() - old.keys(),
            "changed": {part for part in new.keys() & old.keys() if new[part] != old[part]},
            "gone": old.keys() - new.keys(),
        }
        words = [
            f"{how} {', '.join(part for part in {**new, **old} if part in parts)}"
            for how, parts in said.items()
            if parts
        ]
        if words:
            yield f"- `graph.{name}`: {'; '.join(words)}"


def _parts(pipeline: dict[str, Any] | None) -> dict[str, Any]:
    """A pipeline's stages by their ids, and its schedule."""
    if pipeline is None:
        return {}
    stages = {stage["id"]: stage for stage in pipeline["stages"]}
    return stages | {"its schedule": pipeline["schedule"]}
