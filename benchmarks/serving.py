"""Stream inference side by side with its peers: `make bench-serving`.

The same model answers the same row in each server, with one worker. The servers run at the same
time, and wrk asks them in turn: whatever else the machine does befalls all of them. The best of
the rounds counts. A busy machine lengthens waits, and hardly the processor's time of a request,
which is printed too.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"
CONCURRENCY = (1, 32, 128)
TARGETS = {"constant": 0.6, "mlflow": 10.0, "bentoml": 6.0, "mlserver": 2.5}
ROW: dict[str, Any] = {
    "origin": "JFK", "dest": "SFO", "carrier": "B6", "distance": 2586, "hour": 17, "weekday": 4,
    "origin_departures": 40.0, "origin_delay": 12.5,
    "carrier_departures": 55.0, "carrier_delay": 7.25,
    "temp": 40.1, "wind_speed": 8.0, "precip": 0.0, "visib": 10.0,
}  # fmt: skip
UV = ("uv", "run", "--quiet", "--no-project", "--python", "3.11")
# What model.py and schema.py of the example import.
MODEL = ("--with", "lightgbm>=4.7,<5", "--with", "pandas>=2.3,<3", "--with", "pandera>=0.35,<0.36")


@dataclass(frozen=True)
class Server:
    """How to start a server, where it answers, and what it is asked."""

    name: str
    command: tuple[str, ...]
    path: str
    body: dict[str, Any]
    port: int


@dataclass(frozen=True)
class Measured:
    """What wrk says of some seconds."""

    per_second: float
    p99: float
    """In milliseconds."""
    cpu: float
    """Milliseconds of the processor that the server took for a request."""


def servers(repo: Path, folder: Path) -> list[Server]:
    """Give the servers; `folder` is for their files."""
    package = _package(repo)
    python, rows = str(repo / ".venv/bin/python"), {"rows": [ROW]}
    bento = (*UV, *MODEL, "--with", "bentoml>=1.4,<2", "bentoml", "serve", "bento:Service")
    mlserver = (*UV, *MODEL, "--with", "mlserver>=1.7,<2", "mlserver", "start", str(folder))
    mlflow = ("models", "serve", "--model-uri", "data/batch/model/model", "--env-manager", "local")
    settings = {"http_port": 8905, "grpc_port": 8915, "metrics_port": 8925, "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(
        json.dumps({"name": "model", "implementation": "v2.Runtime"})
    )
    return [
        Server("ours", (str(repo / ".venv/bin/mlops"), "serve", "--port", "8901"),
               "/v1/predict", rows, 8901),
        Server("constant", (python, str(PEERS / "constant.py"), package, "8902"),
               "/v1/predict", rows, 8902),
        Server("mlflow", (str(repo / ".venv/bin/mlflow"), *mlflow, "--port", "8903"),
               "/invocations", {"dataframe_records": [ROW]}, 8903),
        Server("bentoml", (*bento, "--port", "8904"), "/v1/predict", rows, 8904),
        Server("mlserver", mlserver, "/v2/models/model/infer", _columns(ROW), 8905),
    ]  # fmt: skip


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    """The row as MLServer's protocol has it."""
    kinds = {str: "BYTES", int: "INT64", float: "FP64"}
    inputs = [
        {"name": name, "shape": [1, 1], "datatype": kinds[type(value)], "data": [value]}
        | ({"parameters": {"content_type": "str"}} if isinstance(value, str) else {})
        for name, value in row.items()
    ]
    return {"parameters": {"content_type": "pd"}, "inputs": inputs}


def _package(repo: Path) -> str:
    return next(path.parent.parent.name for path in repo.glob("src/*/mlops/cli.py"))


@contextmanager
def running(server: Server, repo: Path, log: Path) -> Iterator[int]:
    """Run a server until the block ends; gives its process.

    Raises:
        SystemExit: it does not answer, with the log's last lines, or another process has its port.
    """
    with socket.socket() as port:
        if not port.connect_ex(("127.0.0.1", server.port)):
            raise SystemExit(f"{server.name}: another process answers on port {server.port}")
    model = repo / "data/batch/model"
    flavor = next((model / "model").rglob("model.txt")).parent
    env = {
        **os.environ,
        "BENTOML_DO_NOT_TRACK": "true",
        "MLOPS_MODEL": str(model),
        "MLOPS_PREDICTION_LOG": str(log.with_name("predictions")),
        "MODEL": str(flavor),
        "OMP_NUM_THREADS": "1",
        "PACKAGE": _package(repo),
        "PATH": f"{repo / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{repo / 'src'}{os.pathsep}{PEERS}",
    }
    with log.open("w") as said:
        process = subprocess.Popen(
            server.command, cwd=repo, env=env, stdout=said, stderr=said, start_new_session=True
        )
    try:
        end = time.monotonic() + 300
        while not (answer := ask(server)):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{server.name} does not answer:\n{log.read_text()[-2000:]}")
            time.sleep(0.5)
        print(f"{server.name}: {answer[:150]}", file=sys.stderr)
        yield process.pid
    finally:
        # BentoML's worker has a session of its own: left alive, it would answer the next run.
        for one in family(process.pid):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.wait()


def ask(server: Server) -> str:
    """Give a server's answer, or nothing while it has none."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{server.path}",
        json.dumps(server.body).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        if error.code in (400, 422, 500):
            raise SystemExit(f"{server.name}: {error.code} {error.read()[:2000]!r}") from None
    except OSError:
        pass
    return ""


def family(process: int) -> dict[int, int]:
    """Give a process and all that it started, with the processor's ticks that each has had."""
    parents, ticks = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            parents[int(file.parent.name)] = int(fields[1])
            ticks[int(file.parent.name)] = sum(map(int, fields[11:13]))
    members, found = {process}, 0
    while len(members) > found:
        found = len(members)
        members |= {child for child, parent in parents.items() if parent in members}
    return {one: ticks.get(one, 0) for one in members}


def used(process: int) -> float:
    """Give the seconds of the processor that a process and all that it started have had."""
    return sum(family(process).values()) / os.sysconf("SC_CLK_TCK")


def wrk(server: Server, process: int, connections: int, seconds: int, folder: Path) -> Measured:
    """Ask a server by so many connections at once."""
    script = folder / f"{server.name}.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
        f"wrk.body = [==[{json.dumps(server.body)}]==]\n"
    )
    before = used(process)
    said = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "--timeout", "30",
         "-s", str(script), f"http://127.0.0.1:{server.port}{server.path}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{server.name} failed under load:\n{said}")
    ((number, unit),) = re.findall(r"99%\s+([\d.]+)(us|ms|s)", said)
    p99 = float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
    count = int(re.findall(r"(\d+) requests in", said)[0])
    per_second = float(re.findall(r"Requests/sec:\s+([\d.]+)", said)[0])
    return Measured(per_second, p99, (used(process) - before) / count * 1e3)


def main() -> None:
    """Measure, and print a table; the ratios are ours over theirs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", type=Path, help="a generated repo after `make pipeline`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    given = parser.parse_args()
    repo = given.repo.resolve()
    subprocess.run([repo / ".venv/bin/mlops", "production"], cwd=repo, check=True)
    best: dict[tuple[str, int], Measured] = {}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        started = servers(repo, folder)
        processes = {
            server.name: stack.enter_context(running(server, repo, folder / f"{server.name}.log"))
            for server in started
        }
        for number in range(given.rounds):
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
            for connections in CONCURRENCY:
                for server in started:
                    process = processes[server.name]
                    found = wrk(server, process, connections, given.seconds, folder)
                    key = server.name, connections
                    best[key] = max(best.get(key, found), found, key=lambda one: one.per_second)
    titles = f"{'requests/s':>12}{'p99 ms':>9}{'ratio':>8}{'target':>8}{'cpu ms':>8}{'ratio':>8}"
    print(f"{'server':10}{'at once':>8}{titles}")
    for (name, connections), found in best.items():
        ours = best["ours", connections]
        ratio, cheaper = ours.per_second / found.per_second, found.cpu / ours.cpu
        target = f"{TARGETS[name]:g}" if name in TARGETS else ""
        print(
            f"{name:10}{connections:8}{found.per_second:12.0f}{found.p99:9.1f}{ratio:8.2f}{target:>8}"
            f"{found.cpu:8.2f}{cheaper:8.2f}"
        )


if __name__ == "__main__":
    main()
