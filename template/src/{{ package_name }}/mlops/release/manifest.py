"""deploy/envs/<environment>/release.yaml: the images, model version and graph that run there."""

import io
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from ..errors import Problem
from .graph import BLOCK, Graph, styled

Values = dict[str, Any]
# Without quotes, YAML would read some of them as numbers.
Quoted = PlainSerializer(DoubleQuotedScalarString, return_type=Any)

SECTIONS = {"pipeline": "", "serve": "serving", "dashboard": "dashboard", "engine": "engine"}
"""The section with the image of each target of docker/Dockerfile; "" is the top level."""


class Section(BaseModel):
    """A part of the file; other keys are an error."""

    model_config = ConfigDict(extra="forbid")


class Image(Section):
    """An image, identified by its digest."""

    repository: str = Field(pattern=r"^[^@\s]+$")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Model(Section):
    """A registered version, and the digest of its files."""

    version: Annotated[str, Field(pattern=r"^[1-9][0-9]*$"), Quoted]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), Quoted]


class Component(Section):
    """A component that runs an image."""

    image: Image | None = None


class Serving(Component):
    """The service, and the model that it serves."""

    model: Model | None = None


class Release(Component):
    """What runs in an environment, if anything; the top-level image runs the pipelines."""

    serving: Serving = Serving()
    dashboard: Component = Component()
    engine: Component = Component()
    graph: Graph = {}
    """The pipelines of the commit of the top-level image; if empty, those of pipelines.json run."""

    def values(self) -> Values:
        """Return the keys that have a value."""
        return {name: value for name, value in self.model_dump(exclude_none=True).items() if value}

    def images(self) -> dict[str, Image]:
        """Return the images by target."""
        images = {name: getattr(self, place, self).image for name, place in SECTIONS.items()}
        return {name: image for name, image in images.items() if image}

    def having(
        self, images: dict[str, Image], model: Model | None, graph: Graph | None = None
    ) -> "Release":
        """Return a copy with these images and, if given, with this model and this graph."""
        values = self.values() | ({"graph": graph} if graph else {})
        for target, image in images.items():
            place = SECTIONS[target]
            section = values.setdefault(place, {}) if place else values
            section["image"] = image.model_dump()
        if model:
            values.setdefault("serving", {})["model"] = model.model_dump()
        return Release.model_validate(values)


def parse(text: str, where: str) -> Release:
    """Parse a release file; a file with comments only is the empty release.

    Raises:
        Problem: the file is invalid; with the key and the error.
    """
    try:
        return Release.model_validate(_yaml().load(text) or {})
    except YAMLError as error:
        raise Problem(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise Problem(f"{where}: {_first(error)}; see: git log -p -- {where}") from None


def edited(text: str, release: Release) -> str:
    """Return the text of a release file with another release; comments stay where they are.

    A changed graph is written as a whole, so that a change and its rollback give the same bytes.
    """
    values, document = release.values(), _yaml().load(text)
    graph, old = values.pop("graph", {}), (document or {}).get("graph", {})
    if document:
        _replace(document, values | ({"graph": old} if old else {}))
    # The parser drops the comments of a file that has nothing else.
    comments = (
        [] if document else [f"{line}\n" for line in text.splitlines() if line.startswith("#")]
    )
    text = "".join([*comments, _dumped(document or values)])
    if graph == old:
        return text
    block = _dumped({"graph": styled(graph)} if graph else {})
    return BLOCK.sub(lambda _: block, text) if old else text + block


def references(file: Path) -> dict[str, Image]:
    """Read the images.json of `make images PUSH=1`: {"serve": "registry/team/name/serve@sha256:…"}.

    Raises:
        Problem: there is no such file, or an image in it is not identified by its digest.
    """
    reference = Annotated[str, Field(pattern=r"^[^@\s]+@sha256:[0-9a-f]{64}$")]
    targets = Literal["pipeline", "serve", "dashboard", "engine", "notebook"]
    try:
        images = TypeAdapter(dict[targets, reference]).validate_json(file.read_text())
    except FileNotFoundError:
        raise Problem(f"no {file}: make images PUSH=1 writes images.json") from None
    except ValidationError as error:
        raise Problem(f"{file}: {_first(error)}; make images PUSH=1 writes it again") from None
    parts = {target: images[target].split("@") for target in SECTIONS if target in images}
    return {
        name: Image(repository=repository, digest=digest)
        for name, (repository, digest) in parts.items()
    }


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
