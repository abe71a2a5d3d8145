"""Search the parameters of `model` with Optuna: seeded, resumable, one MLflow run per trial.

A trial is fitted on growing shares of the training rows, always the latest ones, and scored on the
validation rows after each share. It is pruned if its score is worse than the median of the trials
before it. The test rows are not used. The study is a file that git ignores; other rows, another
space or other code start a new study.
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

from .. import contract, files, params
from ..data import dataset
from ..errors import Problem
from ..registry import tracking
from ..settings import settings
from .tune_runs import Runs, finished
from .tune_space import Params, check

FOLDER = Path(".optuna")
SHARES = (0.25, 0.5, 1.0)
SEED = 0


def run(trials: int | None, write: bool) -> None:
    """Search, and print the best parameters or, with `write`, put them into params.yaml."""
    search = Search()
    with _alone(), tracking.connected() as client:
        study = search.study()
        runs = Runs(client, study.study_name, search.params.metric)
        with runs.running():
            search.go_on(study, trials or search.params.trials, runs)
            runs.end(study)
    today, best = search.today, study.best_trial.user_attrs["values"]
    if best == today:
        print(f"\nThe current parameters are the best of {len(finished(study))} trials.")
        return
    before = search.today_in(study)
    print(f"\n{search.params.metric} on the validation rows: {before:.4f} → {study.best_value:.4f}")
    if write:
        params.write("model", best)
        print(f"{params.FILE} has these parameters now. Type: make pipeline")
    else:
        print(f"To use them, type `make tune WRITE=1`, or put into {params.FILE}:\n\nmodel:")
        print("\n".join(f"  {name}: {params.scalar(value)}" for name, value in best.items()))


class Search:
    """A search: the section `tune`, the rows and the team's model."""

    def __init__(self) -> None:
        """Load everything the search needs.

        Raises:
            Problem: the configuration is wrong; raised before the first trial.
        """
        self._model, self._metrics = contract.model(), contract.metrics()
        self.params = params.section("tune", Params)
        params.section("model", self._model.Params)
        self._current = params.recorded()["model"]
        self.whole = check(self.params, self._current, self._model.Params)
        self.today = {name: self._current[name] for name in self.params.space}
        self._train, self._valid = dataset.read("train"), dataset.read("valid")

    def study(self) -> optuna.Study:
        """Open the study of these rows, this space and this code, or create it."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name=self._digest(),
            storage=f"sqlite:///{FOLDER}/studies.db",
            direction=self.params.direction,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
            load_if_exists=True,
        )
        # This process holds the lock, so a trial that is still running was killed.
        for trial in study.get_trials(states=[TrialState.RUNNING]):
            study.tell(trial.number, state=TrialState.FAIL)
        return study

    def today_in(self, study: optuna.Study) -> float | None:
        """Return the score of the current parameters, or None without one on all rows."""
        for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
            if trial.user_attrs["values"] == self.today:
                return trial.value
        return None

    def _digest(self) -> str:
        code = sorted(Path("src", settings().package).glob("*.py"))
        fixed = {name: value for name, value in self._current.items() if name not in self.today}
        space = self.params.model_dump(exclude={"trials"})
        inputs = [files.digest(files.DATASET), fixed, space, [file.read_text() for file in code]]
        return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()

    def go_on(self, study: optuna.Study, trials: int, runs: Runs) -> None:
        """Run trials until `trials` are finished, including those of earlier starts.

        The current parameters are always one of the trials.
        """
        if done := len(finished(study)):
            print(f"{done} trials are finished already; a larger `--trials` continues the search")
        if self.today_in(study) is None:
            study.enqueue_trial(self.today)
        while (place := len(finished(study))) < trials or self.today_in(study) is None:
            # Seeded by place, so that a resumed search draws the same values.
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
                    raise Problem(f"{self.params.metric} of the current parameters is {value}")
                raise optuna.TrialPruned
            trial.report(value, step)
            # The current parameters are never pruned: the best are compared with them.
            if share < 1 and values != self.today and trial.should_prune():
                raise optuna.TrialPruned
        return value

    def _values(self, trial: Trial) -> dict[str, Any]:
        values = {
            name: dimension.suggest(trial, name, name in self.whole)
            for name, dimension in self.params.space.items()
        }
        if values == self.today:
            return self.today
        # Four significant digits, as a person would write them, and within the bounds.
        return {name: self.params.space[name].short(value) for name, value in values.items()}

    def _score(self, values: dict[str, Any], share: float) -> float:
        train = self._train.tail(math.ceil(len(self._train) * share))
        try:
            checked = self._model.Params.model_validate(self._current | values)
        except ValidationError as error:
            raise params.problem("model", error) from None
        with redirect_stdout(io.StringIO()):
            fitted = self._model.train(train, self._valid, checked)
        scores = self._metrics.score(self._valid, self._model.predict(fitted, self._valid))
        if self.params.metric not in scores:
            names, metric = ", ".join(scores), self.params.metric
            raise Problem(f"params.yaml: tune.metric: no metric {metric}; there are {names}")
        return scores[self.params.metric]


@contextmanager
def _alone() -> Iterator[None]:
    """Lock the study for this process; the lock of a killed process is released."""
    FOLDER.mkdir(exist_ok=True)
    with Path(FOLDER, "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            folder = FOLDER.resolve().parent
            raise Problem(f"another search is running in {folder}: wait for it") from None
        yield


def _line(study: optuna.Study, trial: FrozenTrial, place: str, start: float) -> str:
    if trial.state is TrialState.PRUNED:
        result = f"pruned at {trial.user_attrs['share']:.0%}"
    else:
        result = f"{trial.value:.4f}"
    values = " ".join(f"{name}={value}" for name, value in trial.user_attrs["values"].items())
    best = f"best {study.best_value:.4f}"
    return f"trial {place}  {result:<13}  {best}  {time.monotonic() - start:5.1f} s  {values}"
