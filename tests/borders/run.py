"""Run odd cases through a repo: each ends in a result that is right, or in a Problem.

`python run.py REPO [--seeds 0:1000] [--seconds 600]`, in the environment of REPO, a generated repo
whose team's modules this replaces: give it a copy. Exits with 1 where a case ended otherwise.
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
    """A result that is not right."""


def module(name: str) -> Any:
    """Return a module of the platform."""
    return importlib.import_module(f"{PACKAGE}.mlops.{name}")


def prepare(repo: Path) -> None:
    """Put the generator's modules in place of the team's, and go there."""
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
    # For other processes, which find what the file holds here.
    os.environ["PYTHONPATH"] = f"{HERE}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    os.environ["MLOPS_PREDICTIONS"] = str(repo / "data/predictions")


def put(case: Case) -> None:
    """Let the team's modules give this case, here and in other processes."""
    team: Any = importlib.import_module(f"{PACKAGE}.case")
    team.CURRENT = case
    file = Path(os.environ["CASE_FILE"])
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(pickle.dumps(case))


def begin(case: Case) -> None:
    """Start with a case, and without the last one's files."""
    put(case)
    sys.modules.pop("definitions", None)
    os.environ["CASE_PREDICTION"] = case.prediction
    for folder in ("data", "model", "reports"):
        shutil.rmtree(folder, ignore_errors=True)


def train(case: Case) -> None:
    """Run the training pipeline up to the judgement, and hold the dataset against the case."""
    for stage in ("ingest", "features", "dataset"):
        module(stage).run()
    dataset = pd.concat([module("dataset").read(name) for name in ("train", "valid", "test")])
    check_dataset(case, dataset)
    module("train").run()
    module("evaluate").run()


def register() -> Path:
    """Run the rest of the pipeline once; return a copy of the model in production."""
    module("gate").run()
    module("register").run()
    module("production").run()
    kept = Path(".mlflow/borders-model")
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(module("files").PRODUCTION, kept)
    return kept


def score(case: Case, registered: Path) -> None:
    """Score the days of the case, and hold what is published against it."""
    files = module("files")
    shutil.copytree(registered, files.PRODUCTION)
    module("reference").write(files.PRODUCTION)
    for number, day in enumerate(case.days):
        if number:
            case.next_day()
            put(case)
        os.environ["MLOPS_DATE"] = day
        module("rows").run(SHARDS)
        for shard in range(SHARDS):
            module("score").run(shard)
        module("publish").run()
        check_published(case, day)
        module("drift").run()
        drift = files.read_json(files.BATCH / "drift.json")
        if drift["date"] != day or drift["rows"] != len(on(case, day)):
            raise Wrong(f"drift.json is of {drift['date']}, {drift['rows']} rows")
        if "</html>" not in (files.BATCH / "drift.html").read_text(errors="surrogatepass"):
            raise Wrong("drift.html is not whole")


def check_dataset(case: Case, dataset: pd.DataFrame) -> None:
    """Compare the dataset with a join by a loop."""
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
    """Hold the published part of a day against its requests and the model."""
    from deltalake import DeltaTable

    asked = on(case, day)
    asked = asked.assign(event_timestamp=[*map(pd.Timestamp, asked["event_timestamp"])])
    predicted = importlib.import_module(f"{PACKAGE}.model").predict(2.0, asked)
    table = DeltaTable(os.environ["MLOPS_PREDICTIONS"]).to_pyarrow_table()
    rows = [row for row in table.to_pylist() if str(row["date"]) == day]
    found = published(table.column_names, predicted.columns[0], "prediction_")
    # A column without any value has no type yet, and is published when it has one.
    names: list[Any] = [name for name in asked if name != LABEL and asked[name].notna().any()]
    columns = {name: published(table.column_names, name, "request_") for name in names}
    expected = Counter(
        (*(plain(row[name]) for name in names), plain(guess))
        for (_, row), guess in zip(asked.iterrows(), predicted.iloc[:, 0], strict=True)
    )
    got = Counter(
        (*(plain(row[columns[name]]) for name in names), plain(row[found])) for row in rows
    )
    compare(expected, got, "what is published")


def published(columns: list[str], name: Any, prefix: str) -> str:
    """Return the name that a column is published under: its own, unless that is taken."""
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
    """Return the table without its index."""
    return table.reset_index(drop=True)


def same_key(one: Any, other: Any) -> bool:
    """Whether two keys are one."""
    one, other = plain(one), plain(other)
    return one is not None and type(one) is type(other) and bool(one == other)


def when(value: Any) -> int | None:
    """Return a time as nanoseconds in UTC; what has no zone is in UTC."""
    if value is None or value is pd.NaT or (not isinstance(value, str) and pd.isna(value)):
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    stamp = pd.Timestamp(value)
    naive = stamp if stamp.tz is None else stamp.tz_convert("UTC").tz_localize(None)
    return int(naive.to_datetime64().astype("datetime64[us]").astype("int64")) * 1000


def plain(value: Any) -> Any:
    """Return a value so that equal ones compare equal, whatever holds them."""
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


def compare(expected: "Counter[Any]", got: "Counter[Any]", what: str) -> None:
    """Raise where they differ, with one example of each side."""
    if expected != got:
        missing, further = list((expected - got).elements()), list((got - expected).elements())
        raise Wrong(
            f"{what}: {len(missing)} of {expected.total()} rows are missing, as"
            f" {missing[:1]!r:.300}; {len(further)} are not expected, as {further[:1]!r:.300}"
        )


def outcome(case: Case, registered: Path | None) -> tuple[str, str]:
    """Run a case: ("right" | "problem" | "FAULT", what it said)."""
    problem = module("errors").Problem
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
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
        where = f"{Path(own[0].filename).name}:{own[0].lineno}"
        return "FAULT", f"{where}: {type(error).__name__}: {str(error)[:600]}"
    return "right", ""


def seeds(text: str) -> Iterator[int]:
    """Return the numbers of `5` or `0:100`."""
    first, _, last = text.partition(":")
    return iter(range(int(first), int(last) if last else int(first) + 1))


def main() -> int:
    """Run the cases; print a line for each that is a FAULT, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", type=Path)
    parser.add_argument("--seeds", default="0:100000")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--batch-every", type=int, default=2, help="every so many cases, a batch")
    parser.add_argument("--verbose", action="store_true", help="say each Problem too")
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
        kind, said = outcome(case, registered if number % arguments.batch_every == 0 else None)
        kinds[kind] += 1
        if kind == "FAULT" or arguments.verbose:
            print(f"{number} {kind}: {'; '.join(case.odd)}\n    {said}", flush=True)
    print(f"{kinds.total()} cases: {dict(kinds)}", flush=True)
    return 1 if kinds["FAULT"] else 0


if __name__ == "__main__":
    sys.exit(main())
