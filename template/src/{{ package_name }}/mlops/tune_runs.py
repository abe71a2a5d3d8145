"""A study's runs in MLflow: one of the search, and beneath it one a finished trial."""

import json
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

    def record(self, study: optuna.Study) -> None:
        """Make the runs that are missing; one may be, where the search was killed."""
        for trial in finished(study):
            if str(trial.number) not in self._known:
                parent = {"mlflow.parentRunId": self._known[""], "state": trial.state.name.lower()}
                run = self._create(f"trial {trial.number}", str(trial.number), parent)
                for name, value in trial.user_attrs["values"].items():
                    self._client.log_param(run, f"model.{name}", value)
                steps = trial.intermediate_values.items()
                values = [tracking.metric(self._metric, value, step) for step, value in steps]
                tracking.log(self._client, run, values)
                self._client.set_terminated(run)
                self._known[str(trial.number)] = run

    def end(self, study: optuna.Study) -> None:
        """Write the best trial down."""
        self.record(study)
        run = self._known[""]
        self._client.set_tag(run, "best", json.dumps(study.best_trial.user_attrs["values"]))
        tracking.log(self._client, run, [tracking.metric(self._metric, study.best_value)])
        self._client.set_terminated(run)

    def _create(self, name: str, trial: str, tags: dict[str, str]) -> str:
        tags = {**tags, "tune_study": self._study, "tune_trial": trial}
        run = self._client.create_run(self._experiment, run_name=name, tags=tags)
        return str(run.info.run_id)
