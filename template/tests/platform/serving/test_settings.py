"""The service's settings: read from variables; an invalid one is reported in one line."""

from pathlib import Path
from typing import Any

import pytest

CHALLENGERS = ("MLOPS_CHALLENGER_MODEL", "MLOPS_SHADOW_MODEL")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODEL", "MODEL_DIGEST", "PREDICTION_LOG", "HOST", "ONLINE_TIMEOUT"):
        monkeypatch.delenv(f"MLOPS_{name}", raising=False)
    for name in CHALLENGERS:
        monkeypatch.delenv(name, raising=False)


def test_an_empty_variable_is_unset(mlops: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = mlops("serving.settings").read()
    for name in ("MLOPS_MODEL", "MLOPS_HOST", "MLOPS_ONLINE_TIMEOUT", *CHALLENGERS):
        monkeypatch.setenv(name, "")
    assert mlops("serving.settings").read() == defaults


@pytest.mark.parametrize("name", CHALLENGERS)
def test_a_challenger_has_two_names(mlops: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Charts of older releases set the second."""
    monkeypatch.setenv(name, "/model/challenger")
    assert mlops("serving.settings").read().challenger == Path("/model/challenger")


@pytest.mark.parametrize(
    ("name", "value"), [("MLOPS_ONLINE_TIMEOUT", "soon"), ("MLOPS_DRAIN_SECONDS", "-1")]
)
def test_an_invalid_value_is_reported(
    mlops: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(mlops("errors").Problem, match=f"^{name} is '{value}': [^\n]*$"):
        mlops("serving.settings").read()


def test_a_service_without_a_model_says_what_to_set(mlops: Any) -> None:
    with pytest.raises(mlops("errors").Problem, match="MLOPS_MODEL is not set"):
        mlops("serving.app").create()
