"""Generate the example, run its pipeline, and say what came out and how long each step took.

usage: python hooks/demo.py FOLDER
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from new import create
from shared import Refusal

STAGE = re.compile(r"Running stage '([^']+)'")


class Clock:
    """Seconds by step, in the order in which the steps began."""

    def __init__(self) -> None:
        """Start with no step."""
        self.seconds: dict[str, float] = {}
        self._step, self._since = "", 0.0

    def begin(self, step: str) -> None:
        """End the running step and begin another; "" ends it only."""
        now = time.monotonic()
        if self._step:
            self.seconds[self._step] = now - self._since
        self._step, self._since = step, now


def run(folder: Path, target: str, clock: Clock) -> None:
    """Run a make target of the repo, its output shown; each stage of the pipeline is a step."""
    ours = ("MLFLOW_TRACKING_URI", "VIRTUAL_ENV")  # of the user's work, and of this checkout
    process = subprocess.Popen(
        ["make", target],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in ours},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if stage := STAGE.search(line):
            clock.begin(f"  stage {stage[1]}")
        print(line, end="", flush=True)
    if process.wait():
        raise Refusal(f"`make {target}` failed in {folder}; what it said is above")


def summary(folder: Path, clock: Clock) -> str:
    """Say what the run gave: metrics beside the baselines', verdict, version, seconds."""

    def read(name: str) -> Any:
        return json.loads((folder / "reports" / name).read_text())

    scores, gate, registered = read("metrics.json"), read("gate.json"), read("registered.json")
    models = {"the model": scores, **scores["baselines"]}
    lines = ["", f"{'':<22}" + "".join(f"{model:>16}" for model in models)]
    for name in sorted(name for name, value in scores.items() if isinstance(value, float)):
        found = [model.get(name) for model in models.values()]
        numbers = ("" if value is None else f"{value:.4f}" for value in found)
        lines.append(f"{name:<22}" + "".join(f"{number:>16}" for number in numbers))
    kept = sum(not rule["broken"] for rule in gate["rules"])
    lines += [
        "",
        f"gate           {'passed' if gate['passed'] else 'FAILED'}: {kept} of"
        f" {len(gate['rules'])} rules kept",
        f"registered     {registered['name']} version {registered['version']}, the champion",
        "",
        *(f"{step:<22}{seconds:>6.1f} s" for step, seconds in clock.seconds.items()),
        f"{'in all':<22}{sum(clock.seconds.values()):>6.1f} s",
        "",
        "What to type next:",
        "",
        f"    cd {folder}",
        "    make report      the evaluation, with pictures",
        "    make ui          MLflow's pages",
        "    make help        the rest",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run the command line."""
    folder = Path(sys.argv[1])
    clock = Clock()
    try:
        clock.begin("generate")
        create(folder, {}, ask=False, ref="HEAD")
        clock.begin("set up")
        run(folder, "setup", clock)
        clock.begin("start the pipeline")
        run(folder, "pipeline", clock)
        clock.begin("")
    except Refusal as refusal:
        print(f"make demo: {refusal}", file=sys.stderr)
        return 1
    print(summary(folder, clock))
    return 0


if __name__ == "__main__":
    sys.exit(main())
