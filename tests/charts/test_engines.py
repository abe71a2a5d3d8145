"""Objects of the chart for the engines; test_chart.py covers Argo's workflows."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from charts import ENGINES, EVERYTHING, RELEASE, Form, helm, manifests, model

Values = dict[str, Any]
Objects = dict[str, list[Values]]

# Run in the worker that renders these repos for the other tests.
pytestmark = pytest.mark.xdist_group("manifests")


@pytest.fixture
def objects(
    made: Callable[..., Path], tmp_path: Path, need: Callable[[str], str]
) -> Callable[..., Objects]:
    """Render the chart with an engine and return its objects by kind."""

    def start(engine: str, *values: Values, namespace: str = "prod") -> Objects:
        repo = made(engine)
        files = [repo / "orchestration/pipelines.json"]
        for number, each in enumerate((RELEASE, *values)):
            files.append(tmp_path / f"{number}.json")
            files[-1].write_text(json.dumps(each))
        form = Form("", repo / "deploy/chart", files)
        words = ("template", "late-flights", "--namespace", namespace)
        done = helm(need("helm"), form, *words)
        assert done.returncode == 0, done.stderr
        by_kind: Objects = {}
        for each in map(json.loads, manifests(done.stdout)):
            by_kind.setdefault(each["kind"], []).append(each)
        return by_kind

    return start


def container(workload: Values) -> Values:
    only: Values
    [only] = workload["spec"]["template"]["spec"]["containers"]
    return only


def variables(workload: Values) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(workload)["env"]}


def script(root: Path, workload: Values) -> str:
    """Return the text of the script that a pod of an engine's image runs."""
    interpreter, file = container(workload)["command"]
    text: str = (root / "template" / file).read_text()
    assert interpreter == "python"
    assert container(workload)["workingDir"] == "/app"
    return text


def stages(engine: str, rendered: Objects) -> dict[str, dict[str, str]]:
    """Return the variables with a literal value in each stage's pod."""
    envs: dict[str, list[Values]] = {}
    match engine:
        case "argo":
            for workflow in rendered["WorkflowTemplate"]:
                for each in workflow["spec"]["templates"]:
                    if "container" in each:
                        envs[each["name"]] = each["container"]["env"]
        case "kubeflow":
            for version in rendered["PipelineVersion"]:
                executors = version["spec"]["pipelineSpec"]["deploymentSpec"]["executors"]
                envs |= {name: each["container"]["env"] for name, each in executors.items()}
        case "temporal":
            [worker] = [
                x for x in rendered["Deployment"] if x["metadata"]["name"].endswith("worker")
            ]
            passed = variables(worker)["MLOPS_ENV"].split(",")
            envs["worker"] = [x for x in container(worker)["env"] if x["name"] in passed]
    return {
        name: {each["name"]: each["value"] for each in env if "value" in each}
        for name, env in envs.items()
    }


def containers(value: Any) -> Iterator[Values]:
    """Yield the containers of the pods of an object of any kind."""
    if isinstance(value, dict):
        if "image" in value and "command" in value:
            yield value
        for each in value.values():
            yield from containers(each)
    elif isinstance(value, list):
        for each in value:
            yield from containers(each)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("values", "expected"), [({}, "flights"), ({"environment": "staging"}, "staging")]
)
def test_every_pod_knows_its_environment(
    objects: Callable[..., Objects], engine: str, values: Values, expected: str
) -> None:
    rendered = objects(engine, EVERYTHING, values, namespace="flights")
    pods = [*containers([*rendered.values()])]
    assert {each["command"][-1] for each in pods} >= {"8501", "8000", "/model/challenger"}
    for each in pods:
        env = {variable["name"]: variable.get("value") for variable in each["env"]}
        assert env["MLOPS_ENVIRONMENT"] == expected
    assert {env["MLOPS_ENVIRONMENT"] for env in stages(engine, rendered).values()} <= {expected}


@pytest.mark.parametrize("engine", ["argo", "kubeflow", "temporal"])
def test_stages_get_the_address_of_the_pushgateway(
    objects: Callable[..., Objects], engine: str
) -> None:
    """Airflow's own test covers its pods."""
    mine, ours = "mine:1", "push.monitoring:9091"
    for own, value, expected in (("", "", None), (mine, "", mine), (mine, ours, ours)):
        env = {"env": {"MLOPS_PUSHGATEWAY": own}} if own else {}
        monitoring = {"monitoring": {"pushgateway": value}}
        envs = stages(engine, objects(engine, EVERYTHING, env, monitoring))
        assert {each.get("MLOPS_PUSHGATEWAY") for each in envs.values()} == {expected}


@pytest.mark.parametrize("engine", ["argo", "kubeflow", "temporal"])
def test_stages_use_the_released_model(objects: Callable[..., Objects], engine: str) -> None:
    """The release takes precedence over MLflow's champion and over `env` in the values."""
    other = {"env": {"MLOPS_MODEL_VERSION": "9"}}
    released_model = model(3)
    expected = {
        "MLOPS_MODEL_VERSION": released_model["version"],
        "MLOPS_MODEL_DIGEST": released_model["digest"],
    }
    for values in ({}, other):
        envs = stages(engine, objects(engine, EVERYTHING, values))
        assert envs
        for env in envs.values():
            assert env.items() >= expected.items()
    nothing = {"serving": {"model": {"version": ""}}}
    for env in stages(engine, objects(engine, EVERYTHING, nothing)).values():
        assert env["MLFLOW_TRACKING_URI"]
        assert not expected.keys() & env.keys()


def test_temporals_worker_gets_the_settings_for_its_jobs(
    objects: Callable[..., Objects], root: Path
) -> None:
    rendered = objects("temporal", EVERYTHING)
    [worker] = [
        each for each in rendered["Deployment"] if each["metadata"]["name"].endswith("worker")
    ]
    env = variables(worker)
    job = (root / "template/orchestration/temporal/job.py").read_text()
    needed = {*re.findall(r"MLOPS_\w+", job)} - {"MLOPS_ENGINE", "MLOPS_RUN_ROUND"}
    assert needed <= env.keys()
    assert env["MLOPS_IMAGE"] == "@".join(RELEASE["image"].values())
    assert env["MLOPS_ENV"].split(",") == [
        "MLFLOW_TRACKING_URI",
        "MLOPS_ENVIRONMENT",
        "MLOPS_MODEL_DIGEST",
        "MLOPS_MODEL_VERSION",
        "MLOPS_PUSHGATEWAY",
    ]
    assert env["MLFLOW_TRACKING_URI"] == EVERYTHING["env"]["MLFLOW_TRACKING_URI"]
    assert env["MLOPS_SECRETS"] == "dvc-remote"
    accounts = {each["metadata"]["name"] for each in rendered["ServiceAccount"]}
    assert env["MLOPS_SERVICE_ACCOUNT"] in accounts
    # The worker does not get the stages' credentials.
    assert [each["secretRef"]["name"] for each in container(worker)["envFrom"]] == ["engine"]
    assert "serving task queue" in script(root, worker)


def test_prometheus_can_reach_temporals_worker(objects: Callable[..., Objects]) -> None:
    name = "late-flights-worker-prometheus"
    rendered = objects("temporal", EVERYTHING)
    [opened] = [x["spec"] for x in rendered["NetworkPolicy"] if x["metadata"]["name"] == name]
    [worker] = [x for x in rendered["Deployment"] if x["metadata"]["name"].endswith("worker")]
    [rule], [port] = opened["ingress"], container(worker)["ports"]
    assert rule["ports"] == [{"port": port["containerPort"]}]
    labels = worker["spec"]["template"]["metadata"]["labels"].items()
    assert opened["podSelector"]["matchLabels"].items() <= labels
    unwatched = objects("temporal", EVERYTHING, {"monitoring": {"enabled": False}})
    assert name not in {each["metadata"]["name"] for each in unwatched["NetworkPolicy"]}


def test_temporals_worker_has_only_the_permissions_it_needs(
    objects: Callable[..., Objects], root: Path
) -> None:
    calls = {
        "create_namespaced_job": ("jobs", "create"),
        "delete_namespaced_job": ("jobs", "delete"),
        "list_namespaced_job": ("jobs", "list"),
        "read_namespaced_job": ("jobs", "get"),
        "list_namespaced_pod": ("pods", "list"),
        "read_namespaced_pod_log": ("pods/log", "get"),
    }
    job = (root / "template/orchestration/temporal/job.py").read_text()
    used = {*re.findall(r"\b(?:create|delete|list|read|patch)_namespaced_\w+", job)}
    [role] = objects("temporal", EVERYTHING)["Role"]
    allowed = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert allowed == {calls[name] for name in used}


@pytest.mark.parametrize("engine", ["kubeflow", "temporal"])
def test_schedules_are_updated_after_each_deployment(
    objects: Callable[..., Objects], root: Path, engine: str
) -> None:
    for suspend, expected in (
        (False, "false"),
        (True, "true"),
        (["training"], "training"),
        (["training", "batch"], "training,batch"),
        ([], ""),
    ):
        [job] = objects(engine, EVERYTHING, {"suspend": suspend})["Job"]
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
        text, env = script(root, job), variables(job)
        assert env["MLOPS_SUSPEND"] == expected
        needed = {*re.findall(r'environ\["(MLOPS_\w+)"\]', text)}
        assert needed <= env.keys()


@pytest.mark.parametrize("engine", ["argo", "kubeflow"])
def test_only_the_released_graph_applies(
    objects: Callable[..., Objects], made: Callable[..., Path], engine: str
) -> None:
    """Pipelines and stages merged after the release do not run; those removed still do."""
    merged = json.loads((made(engine) / "orchestration/pipelines.json").read_text())["pipelines"]
    assert merged.keys() >= {"batch", "training"}
    ingest, features, *_ = merged["training"]["stages"]
    graph = {
        "training": {"schedule": "1 2 3 4 5", "stages": [ingest, features | {"id": "older"}]},
        "weekly": {"schedule": "", "stages": [ingest]},
    }
    rendered = objects(engine, EVERYTHING, {"graph": graph})
    if engine == "kubeflow":
        [job] = rendered["Job"]
        assert json.loads(variables(job)["MLOPS_VERSIONS"]).keys() == graph.keys()
    else:
        [cron] = rendered["CronWorkflow"]
        assert cron["spec"]["schedules"] == ["1 2 3 4 5"]
    kind = {"argo": "WorkflowTemplate", "kubeflow": "Pipeline"}[engine]
    names = {each["metadata"]["name"] for each in rendered[kind]}
    assert names == {"late-flights-training", "late-flights-weekly"}
    assert {name.removeprefix("exec-") for name in stages(engine, rendered)} == {"ingest", "older"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pipeline_can_be_suspended_before_its_release_and_after_its_removal(
    objects: Callable[..., Objects], engine: str
) -> None:
    graph = {"weekly": {"schedule": "", "stages": []}}
    assert objects(engine, {"suspend": ["training", "weekly"], "graph": graph})


@pytest.mark.parametrize("engine", ENGINES)
def test_suspending_an_unknown_pipeline_is_refused(
    made: Callable[..., Path], need: Callable[[str], str], tmp_path: Path, engine: str
) -> None:
    repo, values = made(engine), tmp_path / "values.yaml"
    values.write_text("suspend: [batch, trainin]")
    files = [repo / "orchestration/pipelines.json", values]
    done = helm(need("helm"), Form("", repo / "deploy/chart", files), "template", "late-flights")
    assert done.returncode != 0
    assert "suspend: there is no pipeline trainin, but batch, " in done.stderr


@pytest.mark.parametrize("engine", ["kubeflow", "temporal"])
@pytest.mark.parametrize("empty", ["image", "engine"])
def test_an_engine_without_an_image_starts_nothing(
    objects: Callable[..., Objects], engine: str, empty: str
) -> None:
    image = {"digest": ""}
    values = {"image": image} if empty == "image" else {"engine": {"image": image}}
    rendered = objects(engine, EVERYTHING, values)
    assert "Job" not in rendered
    names = {each["metadata"]["name"] for each in rendered["Deployment"]}
    assert "late-flights-worker" not in names


def test_kubeflows_version_is_named_after_its_content(objects: Callable[..., Objects]) -> None:
    """Kubeflow's pipeline versions are immutable."""

    def versions(*values: Values) -> dict[str, str]:
        rendered = objects("kubeflow", EVERYTHING, *values)
        pipelines = {each["metadata"]["name"] for each in rendered["Pipeline"]}
        by_pipeline = {each["spec"]["pipelineName"]: each for each in rendered["PipelineVersion"]}
        assert pipelines == by_pipeline.keys()
        [job] = rendered["Job"]
        names = {name: each["metadata"]["name"] for name, each in by_pipeline.items()}
        scheduled = json.loads(variables(job)["MLOPS_VERSIONS"])
        assert {f"late-flights-{name}": each for name, each in scheduled.items()} == names
        return names

    first = versions()
    assert versions({"serving": {"replicas": 3}}) == first
    for content in (
        {"env": {"MLFLOW_TRACKING_URI": "https://other.example.com"}},
        {"labels": {"team": "other"}},
        {"environment": "staging"},
    ):
        assert not {*versions(content).values()} & {*first.values()}
