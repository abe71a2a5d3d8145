"""The Prometheus rules and the Grafana dashboard in the chart's files."""

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
    """Return the names of the metrics that a module creates, parsed from its source."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                # The helper `gauge` of the batch's metrics adds the prefix to the name.
                prefix = "mlops_" if node.func.id == "gauge" else ""
                if (kind := node.func.id.capitalize()) in KINDS:
                    names.add(prefix + name.value + KINDS[kind])
    return names


def test_every_alert_has_a_severity_and_a_description(monitoring: Path) -> None:
    silence = yaml.safe_load("groups:\n" + (monitoring / "silence.yaml").read_text())
    (silent,) = silence["groups"][0]["rules"]
    for name, rule in {**alerts(monitoring), silent["alert"]: silent}.items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert rule["annotations"]["summary"], name
        assert len(rule["annotations"]["description"]) > 60, name


@pytest.fixture
def exported(root: Path) -> set[str]:
    mlops = root / "template/src/{{ package_name }}/mlops"
    files = [mlops / "monitoring/exporters.py", mlops / "serving/metrics.py"]
    return set().union(*map(metrics, files))


def test_the_dashboard_is_consistent_and_shows_every_metric(
    monitoring: Path, exported: set[str]
) -> None:
    dashboard = json.loads((monitoring / "grafana.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    occupied: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & occupied, f"{panel['title']} overlaps another panel"
        assert max(x for x, _ in cells) < 24
        occupied |= cells
        assert (panel["type"] == "row") == ("targets" not in panel)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    queries = " ".join(target["expr"] for p in panels for target in p.get("targets", []))
    assert set(re.findall(r"\$(\w+)", queries)) <= variables
    # tests/platform runs the queries of each row on the metrics of a service or a batch.
    rows = {panel["title"] for panel in panels if panel["type"] == "row"}
    assert rows == {"Service", "Features", "Batch and drift"}
    shown = {re.sub("_(bucket|sum|count)$", "", metric) for metric in METRIC.findall(queries)}
    # An alert covers the metric that no panel shows.
    assert exported - shown <= {"mlops_drift_judged"}


def test_promtool_accepts_the_dashboards_queries(
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
