"""Prometheus' rules and Grafana's dashboard, as they lie in the chart."""

import ast
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

KINDS = {"Counter": "_total", "Histogram": "", "Gauge": ""}
METRIC = re.compile(r"\bmlops_\w+")


@pytest.fixture
def monitoring(root: Path) -> Path:
    return root / "template/deploy/chart/files/monitoring"


def alerts(monitoring: Path) -> dict[str, Any]:
    groups = yaml.safe_load((monitoring / "rules.yaml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def metrics(file: Path) -> set[str]:
    """The metrics that a module exports, read from the calls that make them."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                # monitoring.py has a helper `gauge` that puts the prefix before the name.
                prefix = "mlops_" if node.func.id == "gauge" else ""
                if (kind := node.func.id.capitalize()) in KINDS:
                    found.add(prefix + name.value + KINDS[kind])
    return found


def test_an_alert_says_what_to_do(monitoring: Path) -> None:
    silence = yaml.safe_load("groups:\n" + (monitoring / "silence.yaml").read_text())
    (silent,) = silence["groups"][0]["rules"]
    for name, rule in {**alerts(monitoring), silent["alert"]: silent}.items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert rule["annotations"]["summary"], name
        assert len(rule["annotations"]["description"]) > 60, name


@pytest.fixture
def exported(root: Path) -> set[str]:
    mlops = root / "template/src/{{ package_name }}/mlops"
    files = [mlops / "monitoring.py", mlops / "serving/metrics.py"]
    if missing := [file.name for file in files if not file.exists()]:
        pytest.skip(f"there is no {missing}")
    return set().union(*map(metrics, files))


def test_the_dashboard_shows_every_metric_and_is_whole(
    monitoring: Path, exported: set[str]
) -> None:
    dashboard = json.loads((monitoring / "grafana.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert (panel["type"] == "row") == ("targets" not in panel)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    asked = " ".join(target["expr"] for p in panels for target in p.get("targets", []))
    assert set(re.findall(r"\$(\w+)", asked)) <= variables
    # Each of these rows is played over what a service or a batch exports, in tests/platform.
    rows = {panel["title"] for panel in panels if panel["type"] == "row"}
    assert rows == {"Service", "Features", "Batch and drift"}
    shown = {re.sub("_(bucket|sum|count)$", "", metric) for metric in METRIC.findall(asked)}
    assert exported - shown <= {"mlops_drift_judged"}, "an alert tells it"


def test_promtool_takes_the_dashboards_queries(
    monitoring: Path, need: Callable[[str], str], tmp_path: Path
) -> None:
    dashboard = json.loads((monitoring / "grafana.json").read_text())
    rules = [
        {"record": f"panel:{panel['id']}_{target['refId']}", "expr": target["expr"]}
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    command = [need("promtool"), "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
