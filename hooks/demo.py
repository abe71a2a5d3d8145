"""Generate the example, run its pipeline, and print the results and the time of each step.

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
    """Seconds per step, in the order in which the steps began."""

    def __init__(self) -> None:
        """Start without a step."""
        self.seconds: dict[str, float] = {}
        self._step, self._since = "", 0.0

    def begin(self, step: str) -> None:
        """End the current step and begin another; "" only ends it."""
        now = time.monotonic()
        if self._step:
            self.seconds[self._step] = now - self._since
        self._step, self._since = step, now


def run(folder: Path, target: str, clock: Clock) -> None:
    """Run a make target of the repo and show its output; each stage of the pipeline is a step."""
    # They belong to the user's own work and to this checkout, not to the demo.
    dropped = ("MLFLOW_TRACKING_URI", "VIRTUAL_ENV")
    process = subprocess.Popen(
        ["make", target],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in dropped},
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
        raise Refusal(f"`make {target}` failed in {folder}; see its output above")


def summary(folder: Path, clock: Clock) -> str:
    """Return the metrics of the model and the baselines, the verdict, the version and times."""

    def read(name: str) -> Any:
        return json.loads((folder / "reports" / name).read_text())

    scores, gate, registered = read("metrics.json"), read("gate.json"), read("registered.json")
    models = {"the model": scores, **scores["baselines"]}
    lines = ["", f"{'':<22}" + "".join(f"{model:>16}" for model in models)]
    for name in sorted(name for name, value in scores.items() if isinstance(value, float)):
        values = [model.get(name) for model in models.values()]
        numbers = ("" if value is None else f"{value:.4f}" for value in values)
        lines.append(f"{name:<22}" + "".join(f"{number:>16}" for number in numbers))
    kept = sum(not rule["broken"] for rule in gate["rules"])
    lines += [
        "",
        f"gate           {'passed' if gate['passed'] else 'FAILED'}: {kept} of"
        f" {len(gate['rules'])} rules kept",
        f"registered     {registered['name']} version {registered['version']}, the champion",
        "",
        *(f"{step:<22}{seconds:>6.1f} s" for step, seconds in clock.seconds.items()),
        f"{'total':<22}{sum(clock.seconds.values()):>6.1f} s",
        "",
        "Next, type:",
        "",
        f"    cd {folder}",
        "    make report      the evaluation, with charts",
        "    make ui          the pages of MLflow",
        "    make help        all commands",
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
