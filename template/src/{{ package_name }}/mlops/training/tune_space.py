"""The section `tune` of params.yaml: the parameters of `model` to search, and their ranges."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .. import params
from ..errors import Problem

if TYPE_CHECKING:
    from optuna.distributions import CategoricalChoiceType
    from optuna.trial import Trial


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value


Number = Annotated[Any, BeforeValidator(_number)]


class Dimension(BaseModel):
    """The values of one parameter: from `low` to `high`, both inclusive, or one of `choices`."""

    model_config = ConfigDict(extra="forbid")

    low: Number = None
    high: Number = None
    log: bool = False
    """Draw from a logarithmic scale."""
    choices: list[bool | int | float | str] = []

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        bounds = (self.low is not None) + (self.high is not None)
        if bounds != (0 if self.choices else 2):
            raise ValueError("must be {low: …, high: …} or {choices: […]}")
        if not self.choices and self.low >= self.high:
            raise ValueError("low must be less than high")
        if self.log and (self.choices or self.low <= 0):
            raise ValueError("log needs a low above 0")
        return self

    @property
    def ends(self) -> list[Any]:
        """The choices, or the two bounds."""
        return self.choices or [self.low, self.high]

    def holds(self, value: object) -> bool:
        """Return whether the value can be drawn."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and bool(self.low <= value <= self.high)

    def suggest(self, trial: "Trial", name: str, whole: bool) -> "CategoricalChoiceType":
        """Draw a value; `whole` draws an integer."""
        if self.choices:
            return trial.suggest_categorical(name, self.choices)
        if whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def short(self, value: object) -> object:
        """Round a float to four significant digits, within the bounds."""
        if self.choices or not isinstance(value, float):
            return value
        return float(min(max(float(f"{value:.4g}"), self.low), self.high))


class Params(BaseModel):
    """The section `tune` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    metric: str
    """A metric of metrics.score, on the validation rows."""
    direction: Literal["maximize", "minimize"]
    trials: int = Field(default=20, ge=1)
    space: dict[str, Dimension] = Field(min_length=1)
    """Dimensions by parameter of `model`."""


def check(tune: Params, current: Mapping[str, Any], model: type[BaseModel]) -> set[str]:
    """Check the space against the model's parameters, and return the names of the integer ones.

    Raises:
        Problem: a parameter is unknown, its current value is missing or outside its space, or the
            model rejects a bound or a choice.
    """
    whole = set()
    for name, dimension in tune.space.items():
        where = f"{params.FILE}: tune.space.{name}"
        if name not in model.model_fields:
            names = ", ".join(model.model_fields)
            raise Problem(f"{where}: model.Params has no {name}; there are {names}")
        if name not in current:
            raise Problem(f"{where}: set model.{name} to the value that the search starts from")
        if not dimension.holds(current[name]):
            raise Problem(f"{where}: must include the current model.{name}, {current[name]!r}")
        for value in dimension.ends:
            try:
                model.model_validate({**current, name: value})
            except ValidationError as error:
                raise params.problem("model", error) from None
        kind = model.model_fields[name].annotation
        if kind is int or (kind is not float and all(type(end) is int for end in dimension.ends)):
            whole.add(name)
    return whole
