"""Compare stream inference with other servers: `make bench-serving`.

Each server predicts the same row with the same model and one worker. All servers run at the same
time, and wrk sends requests to one after the other, so that other load on the machine affects them
all. The best round counts. The CPU time per request is printed too: other load hardly affects it,
unlike latency.

With `--ablation`, the servers are the service without each of its speed devices. Of these, `mixed`
is the latency of single rows while two clients send requests of 1,000 rows.
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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from peers.without import DEVICES

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
# Dependencies of model.py and schema.py in the example.
MODEL = ("--with", "lightgbm>=4.7,<5", "--with", "pandas>=2.3,<3", "--with", "pandera>=0.35,<0.36")


@dataclass(frozen=True)
class Server:
    """The command of a server, and the path, body and port of its requests."""

    name: str
    command: tuple[str, ...]
    path: str
    body: dict[str, Any]
    port: int


@dataclass(frozen=True)
class Measured:
    """Results of one run of wrk."""

    per_second: float
    p99: float
    """Latency in milliseconds."""
    cpu: float
    """CPU milliseconds of the server per request."""


def servers(repo: Path, folder: Path) -> list[Server]:
    """Return the servers; `folder` is for their files."""
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


def ablated(repo: Path) -> list[Server]:
    """Return the service without each of its speed devices."""
    start = (str(repo / ".venv/bin/python"), str(PEERS / "without.py"), _package(repo))
    return [
        Server(name, (*start, str(port), name), "/v1/predict", {"rows": [ROW]}, port)
        for port, name in enumerate(DEVICES, 8931)
    ]


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in MLServer's protocol, V2."""
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
    """Run a server until the block ends, and yield its process id.

    Raises:
        SystemExit: the server does not respond (with the end of its log), or its port is in use.
    """
    with socket.socket() as port:
        if not port.connect_ex(("127.0.0.1", server.port)):
            raise SystemExit(f"{server.name}: another process uses port {server.port}")
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
    with log.open("w") as file:
        process = subprocess.Popen(
            server.command, cwd=repo, env=env, stdout=file, stderr=file, start_new_session=True
        )
    try:
        end = time.monotonic() + 300
        while not (response := ask(server)):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{server.name} does not respond:\n{log.read_text()[-2000:]}")
            time.sleep(0.5)
        print(f"{server.name}: {response[:150]}", file=sys.stderr)
        yield process.pid
    finally:
        # BentoML's worker has its own session: left running, it would respond in the next run.
        for one in family(process.pid):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.wait()


def ask(server: Server) -> str:
    """Return a server's response, or an empty string while it is not ready."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{server.path}",
        json.dumps(server.body).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        if error.code in (400, 422, 500):
            raise SystemExit(f"{server.name}: {error.code} {error.read()[:2000]!r}") from None
    except OSError:
        pass
    return ""


def family(process: int) -> dict[int, int]:
    """Return the ids of a process and its descendants, each with its CPU ticks."""
    parents, ticks = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            parents[int(file.parent.name)] = int(fields[1])
            ticks[int(file.parent.name)] = sum(map(int, fields[11:13]))
    members, size = {process}, 0
    while len(members) > size:
        size = len(members)
        members |= {child for child, parent in parents.items() if parent in members}
    return {one: ticks.get(one, 0) for one in members}


def used(process: int) -> float:
    """Return the CPU seconds of a process and its descendants."""
    return sum(family(process).values()) / os.sysconf("SC_CLK_TCK")


def load(server: Server, connections: int, seconds: int, folder: Path) -> list[str]:
    """Return a command that sends the server's body from a number of concurrent connections."""
    script = folder / f"{server.name}-{len(json.dumps(server.body))}.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
        f"wrk.body = [==[{json.dumps(server.body)}]==]\n"
    )
    return [
        "wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "--timeout", "30",
        "-s", str(script), f"http://127.0.0.1:{server.port}{server.path}",
    ]  # fmt: skip


def wrk(server: Server, process: int, connections: int, seconds: int, folder: Path) -> Measured:
    """Load a server with a number of concurrent connections."""
    before = used(process)
    output = subprocess.run(
        load(server, connections, seconds, folder), capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{server.name} failed under load:\n{output}")
    ((number, unit),) = re.findall(r"99%\s+([\d.]+)(us|ms|s)", output)
    p99 = float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
    count = int(re.findall(r"(\d+) requests in", output)[0])
    per_second = float(re.findall(r"Requests/sec:\s+([\d.]+)", output)[0])
    return Measured(per_second, p99, (used(process) - before) / count * 1e3)


def mixed(server: Server, process: int, seconds: int, folder: Path) -> Measured:
    """Load a server with single rows while two clients send requests of 1,000 rows."""
    many = replace(server, body={"rows": server.body["rows"] * 1000})
    with subprocess.Popen(load(many, 2, seconds + 2, folder), stdout=subprocess.DEVNULL):
        time.sleep(1)
        return wrk(server, process, 8, seconds, folder)


Results = dict[tuple[str, str], Measured]
"""The best results by server and load."""


def measure(
    started: list[Server], repo: Path, folder: Path, rounds: int, seconds: int, *, mix: bool
) -> Results:
    """Run all servers at the same time, and load them one after the other."""
    best: Results = {}
    with ExitStack() as stack:
        processes = {
            server.name: stack.enter_context(running(server, repo, folder / f"{server.name}.log"))
            for server in started
        }
        loads = {str(number): partial(wrk, connections=number) for number in CONCURRENCY}
        if mix:
            loads["mixed"] = partial(mixed)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for load_name, run in loads.items():
                for server in started:
                    result = run(server, processes[server.name], seconds=seconds, folder=folder)
                    key = server.name, load_name
                    best[key] = max(best.get(key, result), result, key=lambda one: one.per_second)
    return best


def show(best: Results, first: str) -> None:
    """Print a table; the ratios compare the first server with each."""
    titles = f"{'requests/s':>12}{'p99 ms':>9}{'ratio':>8}{'target':>8}{'cpu ms':>8}{'ratio':>8}"
    print(f"{'server':16}{'clients':>8}{titles}")
    for (name, clients), result in best.items():
        ours = best[first, clients]
        ratio, cheaper = ours.per_second / result.per_second, result.cpu / ours.cpu
        target = f"{TARGETS[name]:g}" if name in TARGETS else ""
        print(
            f"{name:16}{clients:>8}{result.per_second:12.0f}{result.p99:9.1f}{ratio:8.2f}"
            f"{target:>8}{result.cpu:8.2f}{cheaper:8.2f}"
        )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", type=Path, help="a generated repo after `make pipeline`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--ablation", action="store_true")
    arguments = parser.parse_args()
    repo = arguments.repo.resolve()
    subprocess.run([repo / ".venv/bin/mlops", "production"], cwd=repo, check=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder, ablation = Path(scratch), arguments.ablation
        started = ablated(repo) if ablation else servers(repo, folder)
        rounds, seconds = arguments.rounds, arguments.seconds
        show(measure(started, repo, folder, rounds, seconds, mix=ablation), started[0].name)


if __name__ == "__main__":
    main()
