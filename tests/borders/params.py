"""Edit params.yaml at random: each section must be read, or refused with a one-line error.

Run `python params.py REPO [--seeds 0:1000]` in the environment of REPO, a copy of a generated repo.
"""

import argparse
import importlib
import os
import random
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

PACKAGE = next(iter(entry_points(group="console_scripts", name="mlops"))).value.split(".")[0]
VALUES = [
    *("5e-2", "1e-2", "1_000", "0o17", "0x1F", "012", "1:30", ".inf", "-.inf", ".nan", "~", "null"),
    *(
        "yes",
        "no",
        "on",
        "off",
        "True",
        "true",
        "''",
        "' '",
        '"\\u0000"',
        "2026-01-01",
        "1e400",
        "-0.0",
    ),
    *("2026-01-01T00:00:00Z", "!!int '5'", "!!float 5", "!!str 5", "!!binary aGk=", "!!set {a, b}"),
    *(
        "[]",
        "{}",
        "[1, [2]]",
        "{a: {b: 1}}",
        "{1: 2}",
        "{null: 1}",
        "{[1]: 2}",
        "&x 5",
        "*x",
        "*none",
    ),
    *(
        "|\n    two\n    lines",
        ">-\n    folded",
        "!unknown 5",
        "!!python/object:os.system x",
        "5 # five",
    ),
    *(
        "9" * 400,
        "-1",
        "0",
        "1.5",
        "'5'",
        "text: with colon",
        "{unclosed",
        "'unclosed",
        "@at",
        "`tick`",
    ),
    *(
        "\t5",
        "\U0001f600",
        "größe",
        "<<",
        "=",
        "1.",
        ".5",
        "+5",
        "+.inf",
        "0b101",
        "1__0",
        "0.1e1",
        "1E5",
    ),
    *("infinity", "NaN", "~null", "- 5", "? a", "%TAG", "--- 5", "... 5", "!!timestamp 2026-01-01"),
]


def scalar(text: str, draw: random.Random) -> str:
    """Replace one scalar."""
    places = [*re.finditer(r"(?m)(?<=: )[^\n{\[#]+$", text)]
    place = draw.choice(places)
    return text[: place.start()] + draw.choice(VALUES) + text[place.end() :]


def flow(text: str, draw: random.Random) -> str:
    """Replace one value in a flow mapping."""
    places = [*re.finditer(r"(?<=: )[\w.\"-]+(?=[,}])", text)]
    place = draw.choice(places)
    return text[: place.start()] + draw.choice(VALUES) + text[place.end() :]


def section(text: str, draw: random.Random) -> str:
    """Replace the body of a section with a value."""
    name = draw.choice(re.findall(r"(?m)^(\w+):", text))
    body = re.compile(rf"(?ms)^{name}:.*?(?=^\w|\Z)")
    return body.sub(lambda _: f"{name}: {draw.choice(VALUES)}\n", text, count=1)


def name(text: str, draw: random.Random) -> str:
    """Rename a key."""
    place = draw.choice([*re.finditer(r"(?m)^( *)(\w+)(?=:)", text)])
    odd = draw.choice(["<<", "5", "null", "true", "'a b'", "größe", "? x", '"x\\ny"', "1e3", "[1]"])
    return text[: place.start(2)] + odd + text[place.end(2) :]


def twice(text: str, draw: random.Random) -> str:
    """Duplicate a line."""
    lines = text.splitlines(keepends=True)
    index = draw.randrange(len(lines))
    return "".join([*lines[: index + 1], lines[index], *lines[index + 1 :]])


def whole(text: str, draw: random.Random) -> str:
    """Edit the whole file."""
    edits: list[Callable[[], str]] = [
        lambda: text.replace("\n", "\r\n"),
        lambda: "\ufeff" + text,
        lambda: text.replace("  ", "\t"),
        lambda: "",
        lambda: "# nothing\n",
        lambda: "- a\n- b\n",
        lambda: "text\n",
        lambda: text + "---\na: 1\n",
        lambda: "%YAML 1.1\n---\n" + text,
        lambda: text.rstrip("\n"),
        lambda: text + "\x00",
        lambda: text + "new_section: {a: 1}\n",
        lambda: text.encode("utf-16").decode("latin-1"),
        lambda: "base: &base {a: 1}\n" + text.replace("model:\n", "model:\n  <<: *base\n"),
    ]
    return draw.choice(edits)()


EDITS: list[Callable[[str, random.Random], str]] = [
    scalar,
    scalar,
    flow,
    flow,
    section,
    name,
    twice,
    whole,
]


def readers() -> dict[str, Callable[[], Any]]:
    """Return functions that read a section, by the section's name."""
    module = {
        name: importlib.import_module(f"{PACKAGE}.mlops.{name}")
        for name in (
            "contract",
            "params",
            "data.dataset",
            "training.evaluate",
            "training.gate",
            "monitoring.drift",
            "training.tune_space",
            "registry.tracking",
        )
    }
    contract, read = module["contract"], module["params"].section
    typed = {
        "data": contract.data().Params,
        "features": contract.features().Params,
        "model": contract.model().Params,
        "dataset": module["data.dataset"].Params,
        "evaluate": module["training.evaluate"].Params,
        "gate": module["training.gate"].Params,
    }
    functions: dict[str, Callable[[], Any]] = {
        name: partial(read, name, model) for name, model in typed.items()
    }
    functions["monitor"] = lambda: read("monitor", module["monitoring.drift"].Params, optional=True)
    functions["recorded"] = lambda: module["registry.tracking"].flat(module["params"].recorded())

    def tune() -> Any:
        tune = read("tune", module["training.tune_space"].Params)
        model = read("model", typed["model"]).model_dump(exclude_unset=True)
        return module["training.tune_space"].check(tune, model, typed["model"])

    return {**functions, "tune": tune}


def written(text: str, seed: int) -> str:
    """Return the text with the random edits of a seed."""
    draw = random.Random(seed)
    for edit in draw.sample(EDITS, draw.choice([1, 1, 2])):
        with suppress(IndexError):  # an earlier edit may have removed all places for this one
            text = edit(text, draw)
    return text


def fault(read: Callable[[], Any]) -> str:
    """Return the error of a reader, or an empty string for success or a one-line Problem."""
    problem = importlib.import_module(f"{PACKAGE}.mlops.errors").Problem
    try:
        read()
    except problem as line:
        return repr(str(line)[:300]) if len(str(line).splitlines()) > 1 else ""
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]!r}"
    return ""


def main() -> int:
    """Run the cases and print the faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", type=Path)
    parser.add_argument("--seeds", default="0:1000")
    arguments = parser.parse_args()
    os.chdir(arguments.repo)
    file = Path("params.yaml")
    before, faults = file.read_bytes(), 0
    first, _, last = arguments.seeds.partition(":")
    try:
        for seed in range(int(first), int(last)):
            file.write_bytes(written(before.decode(), seed).encode("utf-8", "surrogatepass"))
            for name, read in readers().items():
                if error := fault(read):
                    faults += 1
                    print(f"{seed} {name}: {error}")
    finally:
        file.write_bytes(before)
    print(f"{int(last) - int(first)} files: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
