"""Search the parameters of `model` by Optuna: seeded, resumable, each trial a run in MLflow.

A trial is fitted on growing shares of the training rows, the latest ones, and scored on the
validation rows after each; where it is worse than half of those before it, it stops there. The test
rows stay unseen. The study is a file that git ignores; other rows, space or code make another one.
"""

import fcntl
import hashlib
import io
import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import ValidationError

from . import contract, dataset, files, params, tracking
from .errors import Problem
from .settings import settings
from .tune_params import Params, check
from .tune_runs import Runs, finished

FOLDER = Path(".optuna")
SHARES = (0.25, 0.5, 1.0)
SEED = 0


def run(trials: int | None, write: bool) -> None:
    """data/dataset → the best parameters, printed or, with `write`, in params.yaml."""
    search = Search()
    with _alone(), tracking.connected() as client:
        study = search.study()
        runs = Runs(client, study.study_name, search.params.metric)
        with runs.running():
            search.go_on(study, trials or search.params.trials, runs)
            runs.end(study)
    today, best = search.today, study.best_trial.user_attrs["values"]
    if best == today:
        print(f"\nToday's parameters are the best of {len(finished(study))} trials.")
        return
    was = search.today_in(study)
    print(f"\n{search.params.metric} on the validation rows: {was:.4f} → {study.best_value:.4f}")
    if write:
        params.write("model", best)
        print(f"{params.FILE} has the parameters now. Type: make pipeline")
    else:
        print(f"To take them type `make tune WRITE=1`, or put into {params.FILE}:\n\nmodel:")
        print("\n".join(f"  {name}: {params.scalar(value)}" for name, value in best.items()))


class Search:
    """What is searched: the section `tune`, the rows, the team's model."""

    def __init__(self) -> None:
        """Read all of it; a Problem says what is wrong before the first trial."""
        self._model, self._metrics = contract.model(), contract.metrics()
        self.params = params.section("tune", Params)
        params.section("model", self._model.Params)
        self._given = params.recorded()["model"]
        self.whole = check(self.params, self._given, self._model.Params)
        self.today = {name: self._given[name] for name in self.params.space}
        self._train, self._valid = dataset.read("train"), dataset.read("valid")

    def study(self) -> optuna.Study:
        """Open the study of these rows, this space and this code, or begin it."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name=self._digest(),
            storage=f"sqlite:///{FOLDER}/studies.db",
            direction=self.params.direction,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
            load_if_exists=True,
        )
        # A trial that runs was killed, since this process is alone.
        for trial in study.get_trials(states=[TrialState.RUNNING]):
            study.tell(trial.number, state=TrialState.FAIL)
        return study

    def today_in(self, study: optuna.Study) -> float | None:
        """Give the value of today's parameters, if they were judged on all rows."""
        for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
            if trial.user_attrs["values"] == self.today:
                return trial.value
        return None

    def _digest(self) -> str:
        code = sorted(Path("src", settings().package).glob("*.py"))
        fixed = {name: value for name, value in self._given.items() if name not in self.today}
        space = self.params.model_dump(exclude={"trials"})
        known = [files.digest(files.DATASET), fixed, space, [file.read_text() for file in code]]
        return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()

    def go_on(self, study: optuna.Study, trials: int, runs: Runs) -> None:
        """Run trials until `trials` are finished, those of earlier starts and today's included."""
        if done := len(finished(study)):
            print(f"{done} trials are there already; `--trials` takes the search further")
        if self.today_in(study) is None:
            study.enqueue_trial(self.today)
        while (place := len(finished(study))) < trials or self.today_in(study) is None:
            # By place, not in one stream: a search that was stopped draws what it would have drawn.
            study.sampler = optuna.samplers.TPESampler(seed=SEED + place)
            start = time.monotonic()
            study.optimize(self._objective, n_trials=1)
            runs.record(study)
            trial = finished(study)[-1]
            print(_line(study, trial, f"{place + 1:>{len(str(trials))}} of {trials}", start))

    def _objective(self, trial: Trial) -> float:
        values = self._values(trial)
        trial.set_user_attr("values", values)
        for step, share in enumerate(SHARES):
            trial.set_user_attr("share", share)
            value = self._score(values, share)
            if not math.isfinite(value):
                if values == self.today:
                    raise Problem(f"{self.params.metric} of today's parameters is {value}")
                raise optuna.TrialPruned
            trial.report(value, step)
            # Today's parameters go all the way: the best is to be compared with them.
            if share < 1 and values != self.today and trial.should_prune():
                raise optuna.TrialPruned
        return value

    def _values(self, trial: Trial) -> dict[str, Any]:
        found = {
            name: dimension.suggest(trial, name, name in self.whole)
            for name, dimension in self.params.space.items()
        }
        if found == self.today:
            return self.today
        # Four digits, as a person would write them down, and within the bounds.
        return {name: self.params.space[name].short(value) for name, value in found.items()}

    def _score(self, values: dict[str, Any], share: float) -> float:
        train = self._train.tail(math.ceil(len(self._train) * share))
        try:
            checked = self._model.Params.model_validate(self._given | values)
        except ValidationError as error:
            raise params.problem("model", error) from None
        with redirect_stdout(io.StringIO()):
            fitted = self._model.train(train, self._valid, checked)
        scores = self._metrics.score(self._valid, self._model.predict(fitted, self._valid))
        if self.params.metric not in scores:
            known = ", ".join(scores)
            wanted = self.params.metric
            raise Problem(f"params.yaml: tune.metric: no metric {wanted}; there are {known}")
        return scores[self.params.metric]


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the study for this process; the lock of a killed one is free."""
    FOLDER.mkdir(exist_ok=True)
    with Path(FOLDER, "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(f"another search runs in {FOLDER.resolve().parent}: wait") from None
        yield


def _line(study: optuna.Study, trial: FrozenTrial, place: str, start: float) -> str:
    if trial.state is TrialState.PRUNED:
        said = f"pruned at {trial.user_attrs['share']:.0%}"
    else:
        said = f"{trial.value:.4f}"
    values = " ".join(f"{name}={value}" for name, value in trial.user_attrs["values"].items())
    best = f"best {study.best_value:.4f}"
    return f"trial {place}  {said:<13}  {best}  {time.monotonic() - start:5.1f} s  {values}"
