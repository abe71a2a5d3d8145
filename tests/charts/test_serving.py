"""The chart's objects for the service, the dashboard and their environment, value by value."""

import json
import re
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import EVERYTHING, RELEASE, Form, helm, image, model

Values = dict[str, Any]
Objects = dict[tuple[str, str], Values]
Rendered = Callable[..., Objects]

GATEWAY: Values = {"route": {"parentRefs": [{"name": "web"}]}}
OTHER: Values = {"namespaces": ["other"]}


@pytest.fixture(scope="module")
def repo(made: Callable[..., Path]) -> Path:
    return made("airflow")


@pytest.fixture
def run(repo: Path, tmp_path: Path, need: Callable[[str], str]) -> Callable[..., Any]:
    """Run helm on the chart with some values; later ones take precedence."""

    def start(*values: Values, words: tuple[str, ...] = ("template", "late-flights")) -> Any:
        files = [repo / "orchestration/pipelines.json"]
        for number, each in enumerate(values):
            files.append(tmp_path / f"{number}.json")
            files[-1].write_text(json.dumps(each))
        return helm(need("helm"), Form("", repo / "deploy/chart", files), *words)

    return start


@pytest.fixture
def objects(run: Callable[..., subprocess.CompletedProcess[str]]) -> Rendered:
    def start(*values: Values) -> Objects:
        done = run(RELEASE, *values)
        assert done.returncode == 0, done.stderr
        documents = [each for each in yaml.safe_load_all(done.stdout) if each]
        return {(each["kind"], each["metadata"]["name"]): each for each in documents}

    return start


def pod(objects: Objects, name: str = "late-flights-serve") -> Values:
    spec: Values = objects["Deployment", name]["spec"]["template"]["spec"]
    return spec


def variables(container: Values) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"]}


def test_a_release_serves_its_version(objects: Rendered) -> None:
    spec = pod(objects())
    [fetch], [serve] = spec["initContainers"], spec["containers"]
    released_image = "{repository}@{digest}".format(**image("serve"))
    assert fetch["image"] == serve["image"] == released_image
    assert fetch["command"] == ["mlops", "production", "--to", "/model/current"]
    version = {"MLOPS_MODEL_VERSION": "3", "MLOPS_MODEL_DIGEST": "3" * 64}
    assert variables(fetch).items() >= version.items()
    assert (
        variables(serve).items()
        >= {
            "MLOPS_MODEL": "/model/current",
            "MLOPS_MODEL_DIGEST": "3" * 64,
            "MLOPS_HOST": "0.0.0.0",
        }.items()
    )
    assert "MLOPS_MODEL_VERSION" not in variables(serve)
    [mount] = [each for each in serve["volumeMounts"] if each["mountPath"] == "/model"]
    assert mount["readOnly"] is True


def test_the_dashboard_shows_the_released_version(objects: Rendered) -> None:
    version = {"MLOPS_MODEL_VERSION": "3", "MLOPS_MODEL_DIGEST": "3" * 64}
    other = {"env": {"MLOPS_MODEL_VERSION": "9"}}
    for values in ({}, other, {"dashboard": other}):
        [dashboard] = pod(objects(values), "late-flights-dashboard")["containers"]
        assert variables(dashboard).items() >= version.items()
    nothing = objects({"serving": {"model": {"version": ""}}})
    [dashboard] = pod(nothing, "late-flights-dashboard")["containers"]
    assert not version.keys() & variables(dashboard).keys()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"serving": {"image": {"digest": ""}}}, "serving.image is empty"),
        ({"serving": {"model": {"version": ""}}}, "serving.model.version is empty"),
    ],
)
def test_an_incomplete_release_serves_nothing_and_is_reported(
    objects: Rendered, run: Callable[..., Any], wrong: Values, message: str
) -> None:
    names = {name for _, name in objects(wrong)}
    assert not [name for name in names if "serve" in name]
    done = run(RELEASE, wrong, words=("install", "late-flights", "--dry-run=client"))
    assert message in done.stdout, done.stderr


def test_each_service_selects_only_its_own_pods(objects: Rendered) -> None:
    rendered = objects(EVERYTHING)
    pods = {
        name: deployment["spec"]["template"]["metadata"]["labels"]
        for (kind, name), deployment in rendered.items()
        if kind == "Deployment"
    }
    services = {
        n: each["spec"]["selector"] for (kind, n), each in rendered.items() if kind == "Service"
    }
    assert services.keys() == {
        f"late-flights-{x}" for x in ("serve", "canary", "shadow", "dashboard")
    }
    for name, selector in services.items():
        assert [n for n, labels in pods.items() if selector.items() <= labels.items()] == [name]
    for (kind, name), each in rendered.items():
        if kind == "PodDisruptionBudget":
            selector = each["spec"]["selector"]["matchLabels"]
            assert [n for n, labels in pods.items() if selector.items() <= labels.items()] == [name]


@pytest.mark.parametrize("weight", [0, 1, 50, 100])
def test_the_route_splits_traffic_by_weight(objects: Rendered, weight: int) -> None:
    canary = {"weight": weight, "model": model(5)}
    rendered = objects({"serving": {**GATEWAY, "canary": canary}})
    [rule] = rendered["HTTPRoute", "late-flights-serve"]["spec"]["rules"]
    assert {ref["name"]: ref["weight"] for ref in rule["backendRefs"]} == {
        "late-flights-serve": 100 - weight,
        "late-flights-canary": weight,
    }
    assert "filters" not in rule
    [fetch] = pod(rendered, "late-flights-canary")["initContainers"]
    assert variables(fetch)["MLOPS_MODEL_VERSION"] == "5"
    assert fetch["image"] == pod(rendered)["containers"][0]["image"]


def test_the_route_mirrors_requests_to_the_shadow(objects: Rendered) -> None:
    shadow = {"percent": 25, "model": model(6), "image": image("serve", "6")}
    rendered = objects({"serving": {**GATEWAY, "shadow": shadow}})
    [rule] = rendered["HTTPRoute", "late-flights-serve"]["spec"]["rules"]
    assert [ref["name"] for ref in rule["backendRefs"]] == ["late-flights-serve"]
    [mirror] = rule["filters"]
    assert mirror["requestMirror"]["backendRef"]["name"] == "late-flights-shadow"
    assert mirror["requestMirror"]["percent"] == 25
    assert pod(rendered, "late-flights-shadow")["containers"][0]["image"].endswith("6" * 64)


@pytest.mark.parametrize("docs", [False, True])
@pytest.mark.parametrize("prefix", ["", "/team/late-flights"])
@pytest.mark.parametrize("shadow", [{}, {"shadow": {"model": model(6)}}])
def test_the_route_exposes_only_the_api(
    objects: Rendered, prefix: str, docs: bool, shadow: Values
) -> None:
    route = {**GATEWAY["route"], "prefix": prefix, "docs": docs}
    rules = objects({"serving": {"route": route, **shadow}})["HTTPRoute", "late-flights-serve"]
    paths = {}
    for rule in rules["spec"]["rules"]:
        [match] = rule["matches"]
        assert match["path"]["type"] == "PathPrefix"
        filters = {one["type"]: one for one in rule.get("filters", [])}
        assert ("RequestMirror" in filters) == bool(shadow)
        path = match["path"]["value"]
        inside = (
            filters["URLRewrite"]["urlRewrite"]["path"]["replacePrefixMatch"] if prefix else path
        )
        paths[path] = inside
    assert paths == {
        prefix + each: each for each in ["/v1", "/docs", "/openapi.json"][: 3 if docs else 1]
    }


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        ({"route": {"prefix": "no-slash"}}, "prefix"),
        ({**GATEWAY, "canary": {"weight": 5}}, "serving.canary.model.version is empty"),
        ({"canary": {"model": model(5)}}, "serving.route.parentRefs"),
        ({"shadow": {"model": model(5)}}, "serving.route.parentRefs"),
        ({"challenger": model(4)}, "MLOPS_PREDICTION_LOG"),
        ({"image": {"repository": ""}}, "serving.image.repository is empty"),
    ],
)
def test_invalid_serving_values_are_refused(
    run: Callable[..., Any], serving: Values, message: str
) -> None:
    done = run(RELEASE, {"serving": serving})
    assert done.returncode != 0
    assert message in done.stderr


def test_a_challenger_is_loaded_next_to_the_model(objects: Rendered) -> None:
    env = {"MLOPS_PREDICTION_LOG": "s3://log"}
    spec = pod(objects({"serving": {"challenger": model(4), "env": env}}))
    assert [each["command"][-1] for each in spec["initContainers"]] == [
        "/model/current",
        "/model/challenger",
    ]
    assert variables(spec["initContainers"][1])["MLOPS_MODEL_VERSION"] == "4"
    assert variables(spec["containers"][0])["MLOPS_SHADOW_MODEL"] == "/model/challenger"


def test_the_grace_period_exceeds_the_drain(objects: Rendered, root: Path) -> None:
    """The grace period covers the drain and the server's timeouts for requests and its log."""
    serving = root / "template/src/{{ package_name }}/mlops/serving"
    server, log = (serving / name for name in ("server.py", "prediction_log.py"))
    after = [
        int(re.search(rf"{name}=(\d+)", file.read_text())[1])  # type: ignore[index]
        for name, file in (("timeout_graceful_shutdown", server), ("timeout", log))
    ]
    spec = pod(objects({"serving": {"drainSeconds": 30}}))
    assert variables(spec["containers"][0])["MLOPS_DRAIN_SECONDS"] == "30"
    assert spec["terminationGracePeriodSeconds"] > 30 + sum(after)


def test_an_autoscaler_replaces_fixed_replicas(objects: Rendered) -> None:
    name = "HorizontalPodAutoscaler", "late-flights-serve"
    fixed = objects({"serving": {"replicas": 3, "maxReplicas": 3}})
    assert name not in fixed
    assert fixed["Deployment", "late-flights-serve"]["spec"]["replicas"] == 3
    scaled = objects({"serving": {"replicas": 3, "maxReplicas": 5}})
    assert "replicas" not in scaled["Deployment", "late-flights-serve"]["spec"]
    spec = scaled[name]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 5)


def test_only_the_serving_container_gets_a_gpu(objects: Rendered) -> None:
    spec = pod(objects({"serving": {"gpu": 2}}))
    for bound in spec["containers"][0]["resources"].values():
        assert bound["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in json.dumps(spec["initContainers"])
    assert "nvidia.com/gpu" not in json.dumps(pod(objects()))


def test_the_most_specific_variable_takes_precedence(objects: Rendered) -> None:
    near = {"serving": {"env": {"A": "near", "MLOPS_MODEL": "theirs"}}}
    rendered = objects({"env": {"A": "far", "B": "far"}}, near)
    env = variables(pod(rendered)["containers"][0])
    assert (env["A"], env["B"], env["MLOPS_MODEL"]) == ("near", "far", "/model/current")
    assert variables(pod(rendered, "late-flights-dashboard")["containers"][0])["A"] == "far"


def test_network_policies_allow_only_the_listed_traffic(objects: Rendered) -> None:
    rendered = objects({"serving": {"allowFrom": {"gateway": {"namespaces": ["gw"]}}}})
    policies = {n: each["spec"] for (kind, n), each in rendered.items() if kind == "NetworkPolicy"}
    assert policies.pop("late-flights-default-deny") == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    opened = policies.pop("late-flights-serve-gateway")
    [rule] = opened["ingress"]
    assert rule["ports"] == [{"port": 8000}]
    space = {"kubernetes.io/metadata.name": "gw"}
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": space}}]
    labels = rendered["Deployment", "late-flights-serve"]["spec"]["template"]["metadata"]["labels"]
    assert opened["podSelector"]["matchLabels"].items() <= labels.items()
    assert policies.keys() == {"late-flights-to-dns", "late-flights-to-https"}
    dns = policies["late-flights-to-dns"]["egress"][0]
    assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {(53, "UDP"), (53, "TCP")}
    assert dns["to"]
    closed = objects({"networkPolicy": {"egress": {"https": None}}})
    assert ("NetworkPolicy", "late-flights-to-https") not in closed
    off = objects({"networkPolicy": {"enabled": False}}, EVERYTHING)
    assert not [name for kind, name in off if kind == "NetworkPolicy"]


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("pushgateway.monitoring:9091", 9091),
        ("http://10.0.0.7:9091/push", 9091),
        ("http://pushgateway.monitoring", 80),
        ("https://push.example.com/", 443),
    ],
)
def test_batches_reach_the_pushgateway(objects: Rendered, address: str, port: int) -> None:
    name, monitoring = ("NetworkPolicy", "late-flights-to-pushgateway"), {"pushgateway": address}
    assert name not in objects()
    [rule] = objects({"monitoring": monitoring})[name]["spec"]["egress"]
    assert rule == {"ports": [{"port": port, "protocol": "TCP"}]}
    own = {"networkPolicy": {"egress": {"pushgateway": {"ports": [1], **OTHER}}}}
    [rule] = objects({"monitoring": monitoring}, own)[name]["spec"]["egress"]
    assert rule["ports"] == [{"port": 1, "protocol": "TCP"}]
    assert rule["to"]


def silence(rendered: Objects) -> list[Values]:
    groups = rendered["PrometheusRule", "late-flights"]["spec"]["groups"]
    return [rule for group in groups if group["name"] == "mlops-silence" for rule in group["rules"]]


def test_scheduled_batches_have_an_alert_for_missing_metrics(objects: Rendered) -> None:
    enabled = {"monitoring": {"enabled": True}}
    rendered = objects(enabled, {"environment": "prod"})
    [rule] = silence(rendered)
    expr = 'absent(mlops_batch_timestamp_seconds{model="late-flights",environment=~"prod|"})'
    assert rule["expr"] == expr
    assert rule["labels"]["environment"] == "prod"
    assert "MODEL" not in json.dumps(rule)
    assert silence(objects(enabled, {"suspend": ["training"]}))
    for values in (
        {"suspend": True},
        {"suspend": ["batch"]},
        {"image": {"digest": ""}},
        {"graph": {"batch": {"schedule": "", "stages": []}}},
    ):
        assert not silence(objects(enabled, values))


def test_prometheus_can_reach_the_monitored_pods(objects: Rendered) -> None:
    name = "NetworkPolicy", "late-flights-serve-prometheus"
    assert name not in objects()
    assert name not in objects(EVERYTHING, {"networkPolicy": {"enabled": False}})
    rendered = objects(EVERYTHING)
    for each, space in (
        (rendered, "monitoring"),
        (objects(EVERYTHING, {"monitoring": {"namespace": "metrics"}}), "metrics"),
        # An existing rule for Prometheus takes precedence.
        (objects(EVERYTHING, {"serving": {"allowFrom": {"prometheus": OTHER}}}), "other"),
    ):
        [rule] = each[name]["spec"]["ingress"]
        assert rule["ports"] == [{"port": 8000}]
        [peer] = rule["from"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": space}
    selected = rendered[name]["spec"]["podSelector"]["matchLabels"].items()
    for track in ("serve", "canary", "shadow"):
        deployment = rendered["Deployment", f"late-flights-{track}"]
        assert selected <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_the_rules_select_the_targets_of_the_service(objects: Rendered) -> None:
    rendered = objects(EVERYTHING)
    [label] = rendered["ServiceMonitor", "late-flights-serve"]["spec"]["targetLabels"]
    [value] = {
        each["metadata"]["labels"][label]
        for (kind, name), each in rendered.items()
        if kind == "Service" and "dashboard" not in name
    }
    exported = re.sub(r"\W", "_", label)
    rules = json.dumps(rendered["PrometheusRule", "late-flights"])
    assert json.dumps(f'up{{{exported}="{value}"}}')[1:-1] in rules


def test_the_rules_and_the_dashboard_are_rendered_unchanged(objects: Rendered, repo: Path) -> None:
    rendered = objects(EVERYTHING)
    folder = repo / "deploy/chart/files/monitoring"
    rules = yaml.safe_load((folder / "rules.yaml").read_text())
    silent = rendered["PrometheusRule", "late-flights"]["spec"]["groups"][len(rules["groups"]) :]
    assert rendered["PrometheusRule", "late-flights"]["spec"]["groups"] == rules["groups"] + silent
    dashboard = rendered["ConfigMap", "late-flights-grafana"]["data"]["late-flights.json"]
    assert json.loads(dashboard) == json.loads((folder / "grafana.json").read_text())
    monitor = rendered["ServiceMonitor", "late-flights-serve"]
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    services = {
        n: x["metadata"]["labels"] for (kind, n), x in rendered.items() if kind == "Service"
    }
    scraped = {name for name, labels in services.items() if selected <= labels.items()}
    assert scraped == {f"late-flights-{track}" for track in ("serve", "canary", "shadow")}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_secrets_are_referenced_by_name(objects: Rendered) -> None:
    rendered = objects(EVERYTHING)
    [serve] = pod(rendered)["containers"]
    names = [each["secretRef"]["name"] for each in serve["envFrom"]]
    assert names == ["dvc-remote", "online-store"]
    secret = rendered["ExternalSecret", "dvc-remote"]["spec"]
    assert secret["secretStoreRef"] == {"name": "vault", "kind": "ClusterSecretStore"}
    assert ("Secret", "dvc-remote") not in rendered


def test_each_kind_of_pod_has_its_own_identity(objects: Rendered) -> None:
    rendered = objects(EVERYTHING)
    own = rendered["ServiceAccount", "late-flights-serve"]["metadata"]["annotations"]
    assert own.keys() == {"eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account"}
    other = rendered["ServiceAccount", "late-flights-pipeline"]["metadata"]["annotations"]
    assert other.keys() == {"iam.gke.io/gcp-service-account"}


def test_values_of_a_component_that_was_turned_off_are_ignored(
    made: Callable[..., Path], need: Callable[[str], str], tmp_path: Path
) -> None:
    """A values file may still contain the lines of a component that was turned off."""
    repo = made("airflow", ())
    file = tmp_path / "values.json"
    file.write_text(json.dumps(deepcopy(RELEASE)))
    form = Form("", repo / "deploy/chart", [repo / "orchestration/pipelines.json", file])
    done = helm(need("helm"), form, "template", "late-flights")
    assert done.returncode == 0, done.stderr
    assert "kind: Deployment" not in done.stdout
