"""deploy/envs/<environment>/release.yaml: which images, model version and graph run there."""

import io
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from . import release_graph
from .errors import Problem
from .release_graph import Graph

Values = dict[str, Any]
# Without quotes some of them would be numbers.
Quoted = PlainSerializer(DoubleQuotedScalarString, return_type=Any)

SECTIONS = {"pipeline": "", "serve": "serving", "dashboard": "dashboard", "engine": "engine"}
"""Where the image of each target of docker/Dockerfile stands."""


class Section(BaseModel):
    """A part of the file; it has no other keys."""

    model_config = ConfigDict(extra="forbid")


class Image(Section):
    """An image by its content."""

    repository: str = Field(pattern=r"^[^@\s]+$")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Model(Section):
    """A version of the registry, and the digest of its files."""

    version: Annotated[str, Field(pattern=r"^[1-9][0-9]*$"), Quoted]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), Quoted]


class Component(Section):
    """What runs an image."""

    image: Image | None = None


class Serving(Component):
    """What answers requests, and with which model."""

    model: Model | None = None


class Release(Component):
    """What runs in an environment, the image of its pipelines first; empty where nothing does."""

    serving: Serving = Serving()
    dashboard: Component = Component()
    engine: Component = Component()
    graph: Graph = {}
    """The pipelines of that image's commit; without them, those of pipelines.json run."""

    def values(self) -> Values:
        """The keys that have a value."""
        return {name: value for name, value in self.model_dump(exclude_none=True).items() if value}

    def images(self) -> dict[str, Image]:
        """The images by target."""
        found = {name: getattr(self, place, self).image for name, place in SECTIONS.items()}
        return {name: image for name, image in found.items() if image}

    def having(
        self, images: dict[str, Image], model: Model | None, graph: Graph | None = None
    ) -> "Release":
        """The same with these images, and with the model and the graph where there is one."""
        values = self.values() | ({"graph": graph} if graph else {})
        for target, image in images.items():
            place = SECTIONS[target]
            section = values.setdefault(place, {}) if place else values
            section["image"] = image.model_dump()
        if model:
            values.setdefault("serving", {})["model"] = model.model_dump()
        return Release.model_validate(values)


def parse(text: str, where: str) -> Release:
    """Read a release file; one that holds comments alone is the empty release.

    Raises:
        Problem: it is not in the shape; which key is wrong and how.
    """
    try:
        return Release.model_validate(_yaml().load(text) or {})
    except YAMLError as error:
        raise Problem(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise Problem(f"{where}: {_first(error)}; see: git log -p -- {where}") from None


def edited(text: str, release: Release) -> str:
    """The text of a release file with another release in it; comments stay where they are.

    A graph is written whole where it changes: back and forth, it has the same bytes.
    """
    values, found = release.values(), _yaml().load(text)
    graph, old = values.pop("graph", {}), (found or {}).get("graph", {})
    if found:
        _replace(found, values | ({"graph": old} if old else {}))
    # The parser drops the comments of a file that has nothing else.
    kept = [] if found else [f"{line}\n" for line in text.splitlines() if line.startswith("#")]
    text = "".join([*kept, _dumped(found or values)])
    if graph == old:
        return text
    block = _dumped({"graph": release_graph.styled(graph)} if graph else {})
    return release_graph.BLOCK.sub(lambda _: block, text) if old else text + block


def references(file: Path) -> dict[str, Image]:
    """Read what `make images PUSH=1` wrote, {"serve": "registry/team/name/serve@sha256:…"}.

    Raises:
        Problem: there is no such file, or it names an image by anything but its digest.
    """
    reference = Annotated[str, Field(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$")]
    targets = Literal["pipeline", "serve", "dashboard", "engine", "notebook"]
    try:
        given = TypeAdapter(dict[targets, reference]).validate_json(file.read_text())
    except FileNotFoundError:
        raise Problem(f"no {file}: make images PUSH=1 writes images.json") from None
    except ValidationError as error:
        raise Problem(f"{file}: {_first(error)}; make images PUSH=1 writes it anew") from None
    parts = {target: given[target].split("@") for target in SECTIONS if target in given}
    return {name: Image(repository=at, digest=digest) for name, (at, digest) in parts.items()}


def _replace(old: Values, new: Values) -> None:
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            _replace(old[key], value)
        elif old.get(key) != value:
            old[key] = value


def _dumped(values: Values) -> str:
    stream = io.StringIO()
    if values:
        _yaml().dump(values, stream)
    return stream.getvalue()


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']} (it is {first['input']!r})"
