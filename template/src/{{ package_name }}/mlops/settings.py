"""Settings of the repo: pyproject.toml's [project] and [tool.mlops]; variables take precedence."""

import os
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import Problem


class Pipeline(BaseModel):
    """A pipeline: its DVC file, and the cron expression, in UTC, at which the engine starts it."""

    model_config = ConfigDict(extra="forbid")

    file: str
    schedule: str = ""
    """Parsed by `schedule.py`."""


Label = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=63)]


class Settings(BaseModel):
    """Settings that the platform's modules use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path
    model_name: str
    description: str = ""
    dependencies: list[str] = []
    package: str
    tracking_uri: str = Field(alias="tracking-uri")
    predictions: str = "data/predictions"
    """Where batch inference publishes: a folder, or a URL that Delta supports."""
    pipelines: dict[Label, Pipeline]
    environments: list[Label] = Field(default=["staging", "prod"], min_length=1)
    """Those in deploy/envs/, in the order of promotion; the first gets models from the registry."""
    environment: str = ""
    """The environment of this process ($MLOPS_ENVIRONMENT); empty on a laptop."""


def read(root: Path) -> Settings:
    """Read the settings of the repo in `root`; a relative sqlite path becomes absolute."""
    file = root / "pyproject.toml"
    try:
        pyproject = tomllib.loads(file.read_text())
        project = pyproject["project"]
        settings = Settings(
            root=root,
            model_name=project["name"],
            description=project.get("description", ""),
            dependencies=project.get("dependencies", []),
            **pyproject["tool"]["mlops"],
        )
    except FileNotFoundError:
        raise Problem(f"no pyproject.toml in {root}: go to the folder of the repo") from None
    except tomllib.TOMLDecodeError as error:
        raise Problem(f"{file.name} is not TOML: {error}") from None
    except KeyError as error:
        raise Problem(f"{file.name} has no table or key {error}: restore it from git") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Problem(f"{file.name}: [tool.mlops] {where}: {first['msg']}") from None
    uri = os.environ.get("MLFLOW_TRACKING_URI") or settings.tracking_uri
    predictions = os.environ.get("MLOPS_PREDICTIONS") or settings.predictions
    if "://" not in predictions:
        predictions = str(root / predictions)
    update = {
        "tracking_uri": _absolute(uri, root),
        "predictions": predictions,
        "environment": _environment(),
    }
    return settings.model_copy(update=update)


def _environment() -> str:
    """Return $MLOPS_ENVIRONMENT, which becomes part of names of folders, runs and metrics.

    Raises:
        Problem: it is not a valid name.
    """
    name = os.environ.get("MLOPS_ENVIRONMENT", "")
    if name and not re.fullmatch(r"[a-z0-9]([a-z0-9-]{,61}[a-z0-9])?", name):
        raise Problem(
            f"MLOPS_ENVIRONMENT is {name!r}: type a name of lowercase letters, digits and dashes,"
            " such as staging"
        )
    return name


def _absolute(uri: str, root: Path) -> str:
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not uri.startswith(prefix + "/"):
        return f"{prefix}{root / uri.removeprefix(prefix)}"
    return uri


@cache
def settings() -> Settings:
    """Return the settings of the repo in the current folder, read once."""
    return read(Path.cwd())
