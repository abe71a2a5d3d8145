"""Settings of the service: environment variables, which the chart sets."""

from pathlib import Path

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ..errors import Problem


class Settings(BaseSettings):
    """Each field is the variable of its name with the prefix MLOPS_; an empty one is unset."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_", env_ignore_empty=True, frozen=True)

    host: str = "127.0.0.1"
    model: Path | None = None
    """Folder written by `mlops production`; if unset, `make serve` writes one."""
    model_digest: str = ""
    """Expected digest of the model; by default the one that the folder names."""
    challenger: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("MLOPS_CHALLENGER_MODEL", "MLOPS_SHADOW_MODEL"),
    )
    """Folder of a second model, whose predictions are only logged."""
    prediction_log: str = ""
    """Folder or URL of the prediction log; no log if unset."""
    online_timeout: float = Field(default=0.1, gt=0)
    """Seconds to wait for the online store before defaults are used."""
    drain_seconds: float = Field(default=5, ge=0)
    """Seconds for which a stopping service still answers."""


def read() -> Settings:
    """Read the variables.

    Raises:
        Problem: one has a wrong value.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = name if name.startswith("MLOPS_") else f"MLOPS_{name.upper()}"
        raise Problem(f"{variable} is {first['input']!r}: {first['msg']}") from None
