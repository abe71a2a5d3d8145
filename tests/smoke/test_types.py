"""Each model type beats its baselines, and cannot pass its gate by chance."""

import json
from collections.abc import Callable

import pytest
from repos import Repo

SHUFFLED = ".sample(frac=1, random_state=0).to_numpy()"
LABELS = {
    "classification": 'flights["arr_delay"] > params.late_minutes',
    "regression": 'flights["arr_delay"]',
    "forecast": "departed.to_numpy()[hour, airport]",
    "text": '~rows["kind"].isin(BENIGN)',
    "anomaly": 'local.dt.date.astype(str).isin(raw["storms"]["day"])',
}
"""Expression of the label in each type's features.py."""


def test_shuffled_labels_do_not_pass_the_gate(
    variant: Callable[[bool], Repo], scenario: dict[str, str], first: Callable[[str], bool]
) -> None:
    if (kind := scenario["model_type"]) not in LABELS or not first("model_type"):
        pytest.skip("runs in another scenario; the modules are the same")
    repo = variant(True)
    before = repo.run("mlops", "lineage", "none").output
    module = next(repo.folder.glob("src/*/mlops")).parent / "features.py"
    name = module.relative_to(repo.folder).as_posix()
    repo.edit(name, LABELS[kind], f"pd.Series({LABELS[kind]}){SHUFFLED}")
    done = repo.run("dvc", "repro")
    assert done.code != 0
    assert "FAIL  " in done.output
    assert "the model does not pass, nothing is registered" in done.output
    assert "Running stage 'register'" not in done.output
    assert repo.run("mlops", "lineage", "none").output == before


def test_the_gate_requires_beating_every_baseline(trained: Repo) -> None:
    """The gate names at least one baseline, and the model beats each of them."""
    verdict = json.loads((trained.folder / "reports" / "gate.json").read_text())
    margins = [rule for rule in verdict["rules"] if " of the baseline " in rule["rule"]]
    assert margins
    assert all(rule["value"] and not rule["broken"] for rule in margins)
