"""Compare batch inference with `Booster.predict` on a frame in memory: `make bench-batch`.

The stages `score` and `publish` run on repeated test rows as in the pipeline, each in its own
process including its start. The bare prediction runs LightGBM alone in a process that already holds
the same rows in memory. The ratio compares CPU seconds, which other load on the machine hardly
affects, unlike wall-clock time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BARE = Path(__file__).parent / "peers" / "bare.py"
SIZES = [100_000, 1_000_000, 10_000_000]
RATIO, MEMORY = 0.7, 1_500
"""Targets: throughput relative to the bare prediction, and memory in MB."""

# Runs in the repo's environment: write `size` repeated test rows in the platform's row groups.
ROWS = """
import json, sys
from importlib import import_module
from pathlib import Path
import numpy as np, pandas as pd
rows, schema = (import_module(f"{sys.argv[1]}.{name}") for name in ("mlops.batch.rows", "schema"))
size, shards, folder = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
test = pd.read_parquet("data/dataset/test.parquet")[[*schema.Features.to_schema().columns]]
about = {"date": "2013-12-30", "rows": size, "columns": [*schema.EXAMPLE]}
(folder / "about.json").write_text(json.dumps(about))
size //= shards
def parts():
    for start in range(0, size, rows.JOINED):
        part = test.iloc[np.arange(start, min(start + rows.JOINED, size)) % len(test)]
        yield from [part] * shards
rows.write(parts(), folder, shards, test)
"""


@dataclass(frozen=True)
class Measured:
    """Resources used by one process, or by several at once."""

    clock: float
    processors: float
    megabytes: float
    """Peak memory of the largest process."""


def timed(commands: list[list[str]], folder: Path, threads: int) -> Measured:
    """Run the commands at once, each with the given number of threads."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    started = [
        subprocess.Popen(each, cwd=folder, env=env, stdout=subprocess.DEVNULL) for each in commands
    ]
    processors = megabytes = 0.0
    for process in started:
        _, status, usage = os.wait4(process.pid, 0)  # includes its children
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{process.args!r} failed")
        processors += usage.ru_utime + usage.ru_stime
        megabytes = max(megabytes, usage.ru_maxrss / 1024)
    return Measured(time.perf_counter() - start, processors, megabytes)


class Bench:
    """A folder with a repo's production model and a chosen number of rows."""

    def __init__(self, repo: Path, folder: Path) -> None:
        """Use the model that `mlops production` fetched."""
        self.repo, self.folder, self.batch = repo, folder, folder / "data/batch"
        self.batch.mkdir(parents=True)
        shutil.copy(repo / "pyproject.toml", folder)
        (self.batch / "model").symlink_to(repo / "data/batch/model")
        self.python, self.mlops = (str(repo / ".venv/bin" / name) for name in ("python", "mlops"))
        self.package = next(repo.glob("src/*/mlops")).parent.name

    def rows(self, size: int, shards: int) -> None:
        """Write the shards of a day with `size` rows and delete those of the previous day."""
        for name in ("batch/rows", "batch/scores", "predictions"):
            shutil.rmtree(self.folder / "data" / name, ignore_errors=True)
        rows = self.batch / "rows"
        rows.mkdir()
        arguments = [self.package, str(size), str(shards), str(rows)]
        subprocess.run([self.python, "-c", ROWS, *arguments], cwd=self.repo, check=True)

    def stage(self, *words: str, threads: int = 2) -> Measured:
        """Run a stage and measure it."""
        return timed([[self.mlops, *words]], self.folder, threads)

    def bare(self) -> tuple[float, float]:
        """Predict the first shard with LightGBM alone; return wall-clock and CPU seconds."""
        inputs = [str(self.batch / name) for name in ("model/model", "rows/0.parquet")]
        command = [self.python, str(BARE), *inputs]
        env = os.environ | {"OMP_NUM_THREADS": "2"}
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
        clock, processors = map(float, done.stdout.split())
        return clock, processors

    def scaling(self, size: int, rounds: int) -> tuple[float, float]:
        """Return the speedup of two shards at once over one, with one thread each.

        The first value is by wall-clock time, the second by CPU seconds, which shows the speedup on
        two dedicated cores. Both use the best rounds.
        """
        self.rows(size, 2)
        commands = [[self.mlops, "score", str(shard)] for shard in (0, 1)]
        one, two = [], []
        for _ in range(rounds):
            one.append(self.stage("score", "0", threads=1))
            two.append(timed(commands, self.folder, 1))
        clock = min(each.clock for each in one) / min(each.clock for each in two)
        single = min(each.processors for each in one)
        return 2 * clock, 4 * single / min(each.processors for each in two)


def line(sizes: list[int], seconds: list[float]) -> str:
    """Return a text with the cost of a start and of a row, and the deviation from that line."""
    each = (seconds[-1] - seconds[0]) / (sizes[-1] - sizes[0])
    start = seconds[0] - each * sizes[0]
    off = [second / (start + each * size) - 1 for size, second in zip(sizes, seconds, strict=True)]
    return (
        f"score takes {start:.1f} s to start and {each * 1e6:.2f} µs per row;"
        f" other sizes deviate by at most {max(map(abs, off)):.0%}"
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", type=Path, help="a generated repo after `make pipeline`")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows")
    parser.add_argument("--rounds", type=int, default=3, help="of the two shards")
    arguments = parser.parse_args()
    repo = arguments.repo.resolve()
    subprocess.run(
        [repo / ".venv/bin/mlops", "production"], cwd=repo, check=True, stdout=sys.stderr
    )
    print(f"targets: {RATIO:g} times the bare prediction, {MEMORY:,} MB")
    print(
        f"{'rows':>11}{'score: rows/s':>15}{'µs/row':>8}{'MB':>7}{'bare: rows/s':>14}{'µs/row':>8}"
        f"{'ratio':>7}{'publish: µs/row':>17}{'MB':>7}"
    )
    with tempfile.TemporaryDirectory(dir=repo) as scratch:
        bench, seconds = Bench(repo, Path(scratch)), []
        for size in arguments.sizes:
            bench.rows(size, 1)
            score, (clock, processors) = bench.stage("score", "0"), bench.bare()
            publish = bench.stage("publish")
            seconds.append(score.processors)
            print(
                f"{size:11,}{size / score.clock:15,.0f}{score.processors / size * 1e6:8.2f}"
                f"{score.megabytes:7.0f}{size / clock:14,.0f}{processors / size * 1e6:8.2f}"
                f"{processors / score.processors:7.2f}{publish.processors / size * 1e6:17.2f}"
                f"{publish.megabytes:7.0f}",
                flush=True,
            )
        if len(seconds) > 2:
            print(f"{line(arguments.sizes, seconds)} (CPU seconds)", flush=True)
        size = arguments.sizes[min(1, len(arguments.sizes) - 1)]
        clock, cores = bench.scaling(size, arguments.rounds)
    print(
        f"two shards at once are {clock:.2f} times as fast as one (one thread each);"
        f" {cores:.2f} times by CPU seconds"
    )


if __name__ == "__main__":
    main()
