"""The MLflow runs of a study: one for the search, with one child run per finished trial."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

from ..registry import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the completed and the pruned trials, in order."""
    return study.get_trials(deepcopy=False, states=FINISHED)


class Runs:
    """The runs of one study, found by its name, which stays when a search is resumed."""

    def __init__(self, client: "MlflowClient", study: str, metric: str) -> None:
        """Find the study's runs; create that of the search if there are none."""
        self._client, self._study, self._metric = client, study, metric
        self._experiment = tracking.experiment(client)
        runs = client.search_runs(
            [self._experiment], f"tags.tune_study = '{study}'", max_results=10_000
        )
        self._ids = {run.data.tags["tune_trial"]: run.info.run_id for run in runs}
        if "" not in self._ids:
            self._ids[""] = self._create(f"tune {study[:12]}", "", tracking.origin())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Set the run of the search to running, and end it when the block ends."""
        search = self._ids[""]
        # By default SIGTERM ends the process without an exception.
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        self._client.update_run(search, "RUNNING")
        try:
            yield
            self._client.set_terminated(search)
        except BaseException as error:
            with suppress(Exception):  # the first error is the one to report
                status = "FAILED" if isinstance(error, Exception) else "KILLED"
                self._client.set_terminated(search, status)
            raise
        finally:
            signal.signal(signal.SIGTERM, before)

    def record(self, study: optuna.Study) -> None:
        """Create the missing runs, also that of a trial after which the search was killed."""
        for trial in finished(study):
            if str(trial.number) not in self._ids:
                parent = {"mlflow.parentRunId": self._ids[""], "state": trial.state.name.lower()}
                run = self._create(f"trial {trial.number}", str(trial.number), parent)
                values = tracking.flat(trial.user_attrs["values"], "model.")
                tracking.log_params(self._client, run, values)
                for step, score in trial.intermediate_values.items():
                    tracking.log(self._client, run, {self._metric: score}, step)
                self._client.set_terminated(run)
                self._ids[str(trial.number)] = run

    def end(self, study: optuna.Study) -> None:
        """Record the best trial in the run of the search."""
        self.record(study)
        run = self._ids[""]
        self._client.set_tag(run, "best", json.dumps(study.best_trial.user_attrs["values"]))
        tracking.log(self._client, run, {self._metric: study.best_value})

    def _create(self, name: str, trial: str, tags: dict[str, str]) -> str:
        tags = {**tags, "tune_study": self._study, "tune_trial": trial}
        return tracking.create_run(self._client, name, tags)
