"""params.yaml: read as DVC reads it, and edited in place."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

SCALARS = """\
5e-2, 5E-2, 1e3, 1., -.5, +5, .5e1, 1e400, 1_000, 1__0, 012, 0o17, 0O17, 0x1F, 0b11, -0, 1:30
1:30.5, 190:20:30, .inf, -.INF, .nan, .NaN, inf, nan, yes, no, on, off, y, n, Yes, ON, true, True
TRUE, ~, null, Null, NULL, None, 2013-01-31, 2013-1-31, 2013-01-31T10:00:00, '5', "5", 'on', 1.2.3
5e, 5e-, e5, 0x, 0o8, é, !!float 3, !!str 5, &a 5e-2, [1e-2], {a: no}, "", 1 000"""


@pytest.fixture
def params(mlops: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return mlops("params")


def _as_dvc() -> dict[str, Any] | None:
    """Return what DVC reads, or None if it reads no mapping."""
    from dvc.utils.serialize import load_yaml

    try:
        read = load_yaml("params.yaml")
    except Exception:
        return None
    return read if isinstance(read, dict) else None


def _as_mlops(mlops: Any, params: Any) -> dict[str, Any] | None:
    try:
        read: dict[str, Any] = params.recorded()
    except mlops("errors").Problem as problem:
        return None if "\n" not in str(problem) else {"more than one line": str(problem)}
    return read


def test_scalars_are_what_dvc_reads(mlops: Any, params: Any) -> None:
    scalars = SCALARS.replace("\n", ", ").split(", ")
    lines = [f"  k{n}: {text}" for n, text in enumerate(scalars)]
    Path("params.yaml").write_text("\n".join(["model:", *lines, "  empty:", "  comma: 1,5", ""]))
    read = _as_mlops(mlops, params)
    assert repr(read) == repr(_as_dvc())
    assert read is not None
    assert read["model"]["k0"] == 0.05
    # The command `sample` writes params.yaml for an older commit, which may read YAML 1.1.
    for load in (params.load, yaml.safe_load):
        assert repr(load(params.dump(read))) == repr(read)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "- 1\n",
        "5\n",
        "model: {a: 1}\nmodel: {a: 2}\n",
        "model:\n\ta: 1\n",
        "model: {a: 2013-13-01}\n",
        "model: {a: =}\n",
        "model:\n  a: -\n",
        "model: {a: !python/name:os.system }\n",
        "model: {a: 1}\n---\nmodel: {a: 2}\n",
        "model: {1: a, true: b, 2.5: c}\n",
        "\ufeffmodel: {a: 5e-2}\n",
        "model:\r\n  a: 5e-2\r\n",
        "base: &b {a: 5e-2}\nmodel:\n  <<: *b\n  c: 1\n",
        "%YAML 1.1\n---\nmodel: {a: on, b: 012}\n",
        "model: {a: \u2028x}\n",
        "model: {a: 1\x00}\n",
    ],
)
def test_files_are_what_dvc_reads(mlops: Any, params: Any, text: str) -> None:
    Path("params.yaml").write_text(text, encoding="utf-8", newline="")
    assert repr(_as_mlops(mlops, params)) == repr(_as_dvc())


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("5e-2", 0.07, "0.07"),
        ("&rate 5e-2", 0.07, "&rate 0.07"),
        ("!!float 5e-2", 7.0, "!!float 7.0"),
        ("a", "5e-2", '"5e-2"'),
        ("a", "on", "'on'"),
        ("'a'", "é", "'é'"),
        ("1", float("nan"), ".nan"),
    ],
)
def test_written_values_are_read_back(params: Any, before: str, value: object, after: str) -> None:
    text = "model: \r\n  x: {}  # why\r\n\r\n  y: 012"
    Path("params.yaml").write_text(text.format(before), newline="")
    params.write("model", {"x": value})
    assert Path("params.yaml").read_bytes().decode() == text.format(after)
    assert repr(params.recorded()["model"]["x"]) == repr(value)


def test_a_range_of_powers_of_ten(mlops: Any, params: Any) -> None:
    """YAML 1.1 reads 5e-2 as a string."""
    Path("params.yaml").write_text(
        "model: {rate: 5e-2}\n"
        "tune: {metric: auc, direction: maximize, space: {rate: {low: 1e-3, high: 1e-1}}}\n"
    )
    module = mlops("training.tune_space")

    class Params(BaseModel):
        rate: float

    tuned = params.section("tune", module.Params)
    assert module.check(tuned, params.recorded()["model"], Params) == set()
