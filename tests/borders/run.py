"""Run border cases through a repo: each must end with a correct result or a Problem.

Run `python run.py REPO [--seeds 0:1000] [--seconds 600]` in the environment of REPO, a copy of a
generated repo: the team's modules in it are replaced. The exit code is 1 if a case ends otherwise.
"""

import argparse
import contextlib
import importlib
import io
import math
import os
import pickle
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cases import LABEL, Case, make, ordinary

HERE = Path(__file__).parent
PACKAGE = next(iter(entry_points(group="console_scripts", name="mlops"))).value.split(".")[0]
SHARDS = 2
DAY = 86_400 * 10**9
TTL = 2 * DAY
LINES = 30


class Wrong(Exception):
    """A result that is not correct."""


def module(name: str) -> Any:
    """Return a module of the platform."""
    return importlib.import_module(f"{PACKAGE}.mlops.{name}")


def prepare(repo: Path) -> None:
    """Replace the team's modules with the generator's and change to the repo."""
    for file in (HERE / "team").iterdir():
        if file.name == "definitions.py":
            shutil.copy(file, repo / "feature_repo")
        elif file.suffix == ".py":
            shutil.copy(file, repo / "src" / PACKAGE)
        elif file.is_file():
            shutil.copy(file, repo)
    os.chdir(repo)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{repo}/.mlflow/borders.db"
    os.environ["CASE_FILE"] = str(repo / ".mlflow/case.pickle")
    # Other processes need it to unpickle the case.
    os.environ["PYTHONPATH"] = f"{HERE}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    os.environ["MLOPS_PREDICTIONS"] = str(repo / "data/predictions")


def put(case: Case) -> None:
    """Make the team's modules use this case, in this process and in others."""
    team: Any = importlib.import_module(f"{PACKAGE}.case")
    team.CURRENT = case
    file = Path(os.environ["CASE_FILE"])
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(pickle.dumps(case))


def begin(case: Case) -> None:
    """Start a case without the files of the previous one."""
    put(case)
    sys.modules.pop("definitions", None)
    os.environ["CASE_PREDICTION"] = case.prediction
    for folder in ("data", "model", "reports"):
        shutil.rmtree(folder, ignore_errors=True)


def train(case: Case) -> None:
    """Run the training pipeline up to the evaluation, and compare the dataset with the case."""
    for stage in ("ingest", "features", "dataset"):
        module(f"data.{stage}").run()
    dataset = pd.concat([module("data.dataset").read(name) for name in ("train", "valid", "test")])
    check_dataset(case, dataset)
    module("training.train").run()
    module("training.evaluate").run()


def register() -> Path:
    """Run the rest of the pipeline once and return the path of a copy of the production model."""
    module("training.gate").run()
    module("training.register").run()
    module("registry.fetch").run()
    folder = Path(".mlflow/borders-model")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(module("files").PRODUCTION, folder)
    return folder


def score(case: Case, registered: Path) -> None:
    """Score the days of the case and compare the published predictions with it."""
    files = module("files")
    shutil.copytree(registered, files.PRODUCTION)
    module("registry.reference").write(files.PRODUCTION, module("data.dataset").read("test"))
    for number, day in enumerate(case.days):
        if number:
            case.next_day()
            put(case)
        os.environ["MLOPS_DATE"] = day
        module("batch.rows").run(SHARDS)
        for shard in range(SHARDS):
            module("batch.score").run(shard)
        module("batch.publish").run()
        check_published(case, day)
        module("monitoring.drift").run()
        drift = files.read_json(files.BATCH / "drift.json")
        if drift["date"] != day or drift["rows"] != len(on(case, day)):
            raise Wrong(f"drift.json reports {drift['rows']} rows on {drift['date']}")
        if "</html>" not in (files.BATCH / "drift.html").read_text(errors="surrogatepass"):
            raise Wrong("drift.html is incomplete")


def check_dataset(case: Case, dataset: pd.DataFrame) -> None:
    """Compare the dataset with the result of a join in a loop."""
    known = positional(case.known)
    stamps = [when(value) for value in known["event_timestamp"]]
    expected = Counter[Any]()
    for _, row in positional(case.events).iterrows():
        now = when(row["event_timestamp"])
        past = [
            (stamp, number)
            for number, stamp in enumerate(stamps)
            if now is not None and stamp is not None and now - TTL <= stamp <= now
            if same_key(known["shop"].iloc[number], row["shop"])
        ]
        latest = max(past)[1] if past else None
        served = [None if latest is None else known[name].iloc[latest] for name in case.served]
        values = [*(row[name] for name in case.requested), *served, row[LABEL]]
        expected[(now, *map(plain, values))] += 1
    names = [*case.requested, *case.served, LABEL]
    got = Counter[Any](
        (when(row["event_timestamp"]), *(plain(row[name]) for name in names))
        for _, row in positional(dataset).iterrows()
    )
    compare(expected, got, "the dataset")


def check_published(case: Case, day: str) -> None:
    """Compare the published rows of a day with its requests and the model's predictions."""
    from deltalake import DeltaTable

    requests = on(case, day)
    requests = requests.assign(event_timestamp=[*map(pd.Timestamp, requests["event_timestamp"])])
    predicted = importlib.import_module(f"{PACKAGE}.model").predict(2.0, requests)
    table = DeltaTable(os.environ["MLOPS_PREDICTIONS"]).to_pyarrow_table()
    rows = [row for row in table.to_pylist() if str(row["date"]) == day]
    prediction = published(table.column_names, predicted.columns[0], "prediction_")
    # A column without any value has no type yet, and is published when it has one.
    names: list[Any] = [name for name in requests if name != LABEL and requests[name].notna().any()]
    columns = {name: published(table.column_names, name, "request_") for name in names}
    expected = Counter(
        (*(plain(row[name]) for name in names), plain(guess))
        for (_, row), guess in zip(requests.iterrows(), predicted.iloc[:, 0], strict=True)
    )
    got = Counter(
        (*(plain(row[columns[name]]) for name in names), plain(row[prediction])) for row in rows
    )
    compare(expected, got, "the published rows")


def published(columns: list[str], name: Any, prefix: str) -> str:
    """Return the published name of a column: its own, or with the prefix if that is taken."""
    for each in (f"{prefix}{name}", str(name)):
        if each in columns:
            return each
    raise Wrong(f"the column {name!r} is not published: {columns}")


def on(case: Case, day: str) -> pd.DataFrame:
    """Return the events of a day in UTC."""
    events = positional(case.events)
    stamps = [when(value) for value in events["event_timestamp"]]
    start = when(day) or 0
    return events[[s is not None and start <= s < start + DAY for s in stamps]]


def positional(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a fresh index."""
    return table.reset_index(drop=True)


def same_key(one: Any, other: Any) -> bool:
    """Return True if two keys have the same type and value."""
    one, other = plain(one), plain(other)
    return one is not None and type(one) is type(other) and bool(one == other)


def when(value: Any) -> int | None:
    """Return a time as nanoseconds since the epoch; times without a zone are in UTC."""
    if value is None or value is pd.NaT or (not isinstance(value, str) and pd.isna(value)):
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    stamp = pd.Timestamp(value)
    naive = stamp if stamp.tz is None else stamp.tz_convert("UTC").tz_localize(None)
    return int(naive.to_datetime64().astype("datetime64[us]").astype("int64")) * 1000


def plain(value: Any) -> Any:
    """Return a comparable form of a value, which does not depend on the type of its container."""
    if isinstance(value, list | tuple | np.ndarray):
        return ("list", *map(plain, value))
    if isinstance(value, dict):
        return (
            "dict",
            *sorted((key, plain(each)) for key, each in value.items() if each is not None),
        )
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, np.generic):
        value = pd.Timestamp(value) if isinstance(value, np.datetime64) else value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, datetime):
        return ("time", when(value))
    if isinstance(value, pd.Timedelta):
        return ("span", value.value)
    if isinstance(value, pd.Period | pd.Interval | set):
        return str(value)
    return value


def compare(expected: "Counter[Any]", got: "Counter[Any]", subject: str) -> None:
    """Raise Wrong if the rows differ, with one example of each side."""
    if expected != got:
        missing, extra = list((expected - got).elements()), list((got - expected).elements())
        raise Wrong(
            f"{subject}: {len(missing)} of {expected.total()} rows are missing, such as"
            f" {missing[:1]!r:.300}; {len(extra)} are unexpected, such as {extra[:1]!r:.300}"
        )


def outcome(case: Case, registered: Path | None) -> tuple[str, str]:
    """Run a case and return its outcome, "right", "problem" or "FAULT", and the message."""
    problem = module("errors").Problem
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            begin(case)
            train(case)
            if registered:
                score(case, registered)
    except problem as line:
        text = str(line)
        if "Traceback" in text or len(text.splitlines()) > LINES:
            return "FAULT", f"a Problem of {len(text.splitlines())} lines: {text[:2000]}"
        return "problem", text
    except Wrong as wrong:
        return "FAULT", f"WRONG: {wrong}"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)
        own = [f for f in last if "/mlops/" in f.filename][-1:] or last[-1:]
        place = f"{Path(own[0].filename).name}:{own[0].lineno}"
        return "FAULT", f"{place}: {type(error).__name__}: {str(error)[:600]}"
    return "right", ""


def seeds(text: str) -> Iterator[int]:
    """Return the seeds of a range such as `0:100`, or a single seed such as `5`."""
    first, _, last = text.partition(":")
    return iter(range(int(first), int(last) if last else int(first) + 1))


def main() -> int:
    """Run the cases; print each FAULT and the number of cases by outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", type=Path)
    parser.add_argument("--seeds", default="0:100000")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument(
        "--batch-every", type=int, default=2, help="run batch scoring in every Nth case"
    )
    parser.add_argument("--verbose", action="store_true", help="print all cases")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    prepare(arguments.repo.resolve())
    end = time.monotonic() + arguments.seconds
    began = outcome(ordinary(), None)
    assert began[0] == "right", began
    registered = register().resolve()
    kinds: Counter[str] = Counter()
    for number in seeds(arguments.seeds):
        if time.monotonic() > end:
            break
        case = make(number)
        kind, message = outcome(case, registered if number % arguments.batch_every == 0 else None)
        kinds[kind] += 1
        if kind == "FAULT" or arguments.verbose:
            print(f"{number} {kind}: {'; '.join(case.odd)}\n    {message}", flush=True)
    print(f"{kinds.total()} cases: {dict(kinds)}", flush=True)
    return 1 if kinds["FAULT"] else 0


if __name__ == "__main__":
    sys.exit(main())
