"""A study's runs in MLflow: one of the search, and beneath it one a finished trial."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from . import tracking

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Give the trials that came to a value or were pruned, in their order."""
    return study.get_trials(deepcopy=False, states=FINISHED)


class Runs:
    """Those of one study, found by its name: a search that goes on has the same."""

    def __init__(self, client: Any, study: str, metric: str) -> None:
        """Find the study's runs, or make the first."""
        self._client, self._study, self._metric = client, study, metric
        self._experiment = tracking.experiment(client)
        found = client.search_runs(
            [self._experiment], f"tags.tune_study = '{study}'", max_results=10_000
        )
        self._known = {run.data.tags["tune_trial"]: run.info.run_id for run in found}
        if "" not in self._known:
            self._known[""] = self._create(f"tune {study[:12]}", "", tracking.origin())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the run of the search run, and end it as the block ends."""
        search = self._known[""]
        # By default SIGTERM ends the process without a word.
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        self._client.update_run(search, "RUNNING")
        try:
            yield
            self._client.set_terminated(search)
        except BaseException as error:
            with suppress(Exception):  # the first error is the one to be told
                status = "FAILED" if isinstance(error, Exception) else "KILLED"
                self._client.set_terminated(search, status)
            raise
        finally:
            signal.signal(signal.SIGTERM, before)

    def record(self, study: optuna.Study) -> None:
        """Make the runs that are missing; one may be, where the search was killed."""
        for trial in finished(study):
            if str(trial.number) not in self._known:
                parent = {"mlflow.parentRunId": self._known[""], "state": trial.state.name.lower()}
                run = self._create(f"trial {trial.number}", str(trial.number), parent)
                values = tracking.flat(trial.user_attrs["values"], "model.")
                tracking.log_params(self._client, run, values)
                for step, score in trial.intermediate_values.items():
                    tracking.log(self._client, run, {self._metric: score}, step)
                self._client.set_terminated(run)
                self._known[str(trial.number)] = run

    def end(self, study: optuna.Study) -> None:
        """Write the best trial down."""
        self.record(study)
        run = self._known[""]
        self._client.set_tag(run, "best", json.dumps(study.best_trial.user_attrs["values"]))
        tracking.log(self._client, run, {self._metric: study.best_value})

    def _create(self, name: str, trial: str, tags: dict[str, str]) -> str:
        tags = {**tags, "tune_study": self._study, "tune_trial": trial}
        return tracking.create_run(self._client, name, tags)
