"""The chart of a generated repo, rendered and checked without a cluster."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Values = dict[str, Any]
Helm = Callable[..., subprocess.CompletedProcess[str]]

IMAGE = {"image": {"repository": "registry.example.com/team/late-flights", "tag": "v1"}}
RELEASE = "late-flights"


@pytest.fixture(scope="module")
def repo(render: Callable[..., Path], scenarios: dict[str, Any]) -> Path:
    return render(scenarios["argo-classification"])


@pytest.fixture(scope="module")
def graph(repo: Path) -> Values:
    """Content of the file written by `mlops graph`."""
    pipelines: Values = json.loads((repo / "orchestration/pipelines.json").read_text())
    return pipelines


@pytest.fixture
def helm(repo: Path, tmp_path: Path, need: Callable[[str], str]) -> Helm:
    """Run a helm command on the chart with some values; later ones take precedence."""

    def run(*words: str, values: tuple[Values, ...]) -> subprocess.CompletedProcess[str]:
        command = [need("helm"), *words, str(repo / "deploy/chart")]
        for number, each in enumerate(values):
            file = tmp_path / f"values-{number}.json"
            file.write_text(json.dumps(each))
            command += ["--values", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def objects(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], Values]:
    assert done.returncode == 0, done.stderr
    documents = [each for each in yaml.safe_load_all(done.stdout) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def templates(rendered: dict[tuple[str, str], Values], pipeline: str) -> dict[str, Values]:
    """Return the templates of a pipeline's workflow by name; `DAG` is the graph."""
    spec = rendered["WorkflowTemplate", f"{RELEASE}-{pipeline}"]["spec"]
    return {each["name"]: each for each in spec["templates"]}


def one_stage(**changes: Any) -> Values:
    stage = {
        "id": "train",
        "stage": "train",
        "needs": [],
        "resources": {"cpu": "500m", "memory": "1Gi"},
        "gpu": 0,
        "retries": 2,
        "timeout": 60,
    }
    pipeline = {"schedule": "", "stages": [stage | changes]}
    return {"$schema": "pipelines.schema.json", "pipelines": {"training": pipeline}}


def test_lint(helm: Helm, graph: Values) -> None:
    done = helm("lint", "--strict", values=(graph, IMAGE))
    assert done.returncode == 0, done.stdout + done.stderr


def test_argo_lint(helm: Helm, graph: Values, need: Callable[[str], str], tmp_path: Path) -> None:
    rendered = helm("template", RELEASE, values=(graph, IMAGE))
    file = tmp_path / "rendered.yaml"
    file.write_text(rendered.stdout)
    command = [need("argo"), "lint", "--offline", "--strict", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_task_dependencies_match_the_graph(helm: Helm, graph: Values) -> None:
    rendered = objects(helm("template", RELEASE, values=(graph, IMAGE)))
    for name, pipeline in graph["pipelines"].items():
        tasks = templates(rendered, name)["DAG"]["dag"]["tasks"]
        edges = {task["name"]: task.get("dependencies", []) for task in tasks}
        assert edges == {stage["id"]: stage["needs"] for stage in pipeline["stages"]}


def test_every_stage_gets_the_settings_in_its_meta(helm: Helm, graph: Values) -> None:
    rendered = objects(helm("template", RELEASE, values=(graph, IMAGE)))
    for name, pipeline in graph["pipelines"].items():
        rows = templates(rendered, name)
        assert set(rows) == {"DAG", *(stage["id"] for stage in pipeline["stages"])}
        for stage in pipeline["stages"]:
            row = rows[stage["id"]]
            container = row["container"]
            assert container["resources"]["requests"] == stage["resources"]
            assert container["resources"]["limits"] == stage["resources"]
            assert row["activeDeadlineSeconds"] == stage["timeout"]
            rounds = [each for each in container["env"] if each["name"] == "MLOPS_RUN_ROUND"]
            assert [each["valueFrom"]["fieldRef"]["fieldPath"] for each in rounds] == [
                "metadata.uid"
            ]
            assert row.get("retryStrategy", {"limit": "0"})["limit"] == str(stage["retries"])
            if stage["retries"]:
                assert row["retryStrategy"]["retryPolicy"] == "Always"
                # It would count from the first attempt and end the retries of a long stage.
                assert "maxDuration" not in row["retryStrategy"]["backoff"]
            parameters = ["--run-id", "{{workflow.parameters.run-id}}"]
            parameters += ["--date", "{{workflow.parameters.date}}"]
            assert container["command"] == ["mlops", "stage", stage["stage"], *parameters]


def test_a_gpu_is_requested_only_if_needed(helm: Helm) -> None:
    for gpu in (0, 2):
        rendered = objects(helm("template", RELEASE, values=(one_stage(gpu=gpu), IMAGE)))
        resources = templates(rendered, "training")["train"]["container"]["resources"]
        for limit in resources["requests"], resources["limits"]:
            assert limit.get("nvidia.com/gpu", "0") == str(gpu)


def test_large_integers_are_not_rendered_as_floats(helm: Helm) -> None:
    """Helm reads JSON numbers as floats and prints a million as 1e+06."""
    rendered = objects(helm("template", RELEASE, values=(one_stage(timeout=2592000), IMAGE)))
    assert templates(rendered, "training")["train"]["activeDeadlineSeconds"] == 2592000


def test_a_schedule_creates_a_cron_workflow(helm: Helm) -> None:
    values = one_stage()
    name = "CronWorkflow", f"{RELEASE}-training"
    assert name not in objects(helm("template", RELEASE, values=(values, IMAGE)))
    values["pipelines"]["training"]["schedule"] = "0 5 * * 1"
    rendered = objects(helm("template", RELEASE, values=(values, IMAGE, {"suspend": True})))
    parameters = rendered["WorkflowTemplate", name[1]]["spec"]["arguments"]["parameters"]
    assert {"name": "date", "value": ""} in parameters
    spec = rendered[name]["spec"]
    due = {"name": "date", "value": "{{workflow.scheduledTime}}"}
    assert spec["workflowSpec"]["arguments"]["parameters"] == [due]
    assert spec["schedules"] == ["0 5 * * 1"]
    assert spec["timezone"] == "Etc/UTC"
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["suspend"] is True


@pytest.mark.parametrize(
    ("suspend", "suspended"),
    [
        (False, set()),
        ([], set()),
        (["training"], {"training"}),
        (["training", "batch"], {"training", "batch"}),
        (True, {"training", "batch"}),
    ],
)
def test_pipelines_can_be_suspended_by_name(
    helm: Helm, graph: Values, suspend: Any, suspended: set[str]
) -> None:
    rendered = objects(helm("template", RELEASE, values=(graph, IMAGE, {"suspend": suspend})))
    crons = {name: each["spec"] for (kind, name), each in rendered.items() if "Cron" in kind}
    assert crons.keys() == {f"{RELEASE}-training", f"{RELEASE}-batch"}
    assert {name for name, spec in crons.items() if spec["suspend"]} == {
        f"{RELEASE}-{name}" for name in suspended
    }


def test_without_an_image_nothing_runs(helm: Helm, graph: Values) -> None:
    rendered = objects(helm("template", RELEASE, values=(graph,)))
    kinds = {"NetworkPolicy", "ServiceAccount", "Role", "RoleBinding"}
    assert {kind for kind, _ in rendered} == kinds


def test_a_digest_takes_precedence_over_a_tag(helm: Helm) -> None:
    digest = "sha256:" + "0" * 64
    values = one_stage(), IMAGE, {"image": {"digest": digest}}
    container = templates(objects(helm("template", RELEASE, values=values)), "training")["train"]
    assert container["container"]["image"] == f"{IMAGE['image']['repository']}@{digest}"


def test_the_pods_are_restricted(helm: Helm) -> None:
    rendered = objects(helm("template", RELEASE, values=(one_stage(), IMAGE)))
    spec = rendered["WorkflowTemplate", f"{RELEASE}-training"]["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    patch = yaml.safe_load(spec["podSpecPatch"])
    own = templates(rendered, "training")["train"]["container"]
    for container in [own, *patch["initContainers"], *patch["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert [mount["mountPath"] for mount in own["volumeMounts"]] == ["/tmp"]
    account = rendered["ServiceAccount", f"{RELEASE}-pipeline"]
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("wrong", "location"),
    [
        ({"imag": {}}, "imag"),
        ({"image": {"repo": "a"}}, "repo"),
        ({"image": {"tag": 1}}, "/image/tag"),
        ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"image": {"repository": "team/app:v1"}}, "/image/repository"),
        ({"env": {"A-B": "c"}}, "A-B"),
        ({"env": {"A": 1}}, "/env/A"),
        ({"env": {"A": {"secret": "b"}}}, "/env/A"),
        ({"envFrom": "dvc-remote"}, "/envFrom"),
        ({"envFrom": ["DVC_Remote"]}, "/envFrom/0"),
        ({"serviceAccount": {"annotation": {}}}, "annotation"),
        ({"serviceAccount": {"annotations": {"a": 1}}}, "/serviceAccount/annotations/a"),
        ({"suspend": "no"}, "/suspend"),
        ({"suspend": ["Training"]}, "/suspend/0"),
        ({"suspend": ["training", "training"]}, "/suspend"),
        ({"tolerations": [{"keys": "gpu"}]}, "keys"),
        ({"nodeSelector": {"pool": True}}, "/nodeSelector/pool"),
        (one_stage(needs="data"), "/pipelines/training/stages/0/needs"),
        (one_stage(gpu="1"), "/pipelines/training/stages/0/gpu"),
        (one_stage(timeout="30m"), "/pipelines/training/stages/0/timeout"),
        (one_stage(resources={"cpu": "1", "ram": "1Gi"}), "ram"),
        (one_stage(resources={"cpu": "1", "memory": "1GB"}), "/resources/memory"),
        (one_stage(id="2nd"), "/pipelines/training/stages/0/id"),
        (one_stage(retry=1), "retry"),
        ({"graph": {"Training": {"schedule": "", "stages": []}}}, "Training"),
        ({"graph": one_stage(gpu="1")["pipelines"]}, "/graph/training/stages/0/gpu"),
        ({"pipelines": {"Training": {"schedule": "", "stages": []}}}, "Training"),
        ({"pipelines": {"training": {"schedule": "weekly", "stages": []}}}, "/schedule"),
        ({"pipelines": {"training": {"schedule": "99 5 * * *", "stages": []}}}, "/schedule"),
        ({"graph": {"training": {"schedule": "0 5 * * 8", "stages": []}}}, "/schedule"),
        ({"servin": {}}, "servin"),
        ({"serving": {"replica": 2}}, "replica"),
        ({"serving": {"replicas": 0}}, "/serving/replicas"),
        ({"serving": {"replicas": "2"}}, "/serving/replicas"),
        ({"serving": {"maxReplicas": 2.5}}, "/serving/maxReplicas"),
        ({"serving": {"targetCPU": 0}}, "/serving/targetCPU"),
        ({"serving": {"gpu": -1}}, "/serving/gpu"),
        ({"serving": {"drainSeconds": "5s"}}, "/serving/drainSeconds"),
        ({"serving": {"model": {"version": 3}}}, "/serving/model/version"),
        ({"serving": {"model": {"version": "v3"}}}, "/serving/model/version"),
        ({"serving": {"model": {"digest": "sha256:00"}}}, "/serving/model/digest"),
        ({"serving": {"model": {"name": "a"}}}, "name"),
        ({"serving": {"image": {"digest": "0" * 64}}}, "/serving/image/digest"),
        ({"serving": {"image": {"pullPolicy": "Always"}}}, "pullPolicy"),
        ({"serving": {"resources": {"requests": {"cpu": "half"}}}}, "/resources/requests/cpu"),
        ({"serving": {"resources": {"limit": {}}}}, "limit"),
        ({"serving": {"env": {"PORT": 80}}}, "/serving/env/PORT"),
        ({"serving": {"allowFrom": {"gateway": {}}}}, "/serving/allowFrom/gateway"),
        ({"serving": {"allowFrom": {"lan": {"cidrs": ["10.0.0.1"]}}}}, "/lan/cidrs/0"),
        ({"serving": {"allowFrom": {"Gateway": {"namespaces": ["a"]}}}}, "Gateway"),
        ({"serving": {"route": {"parentRefs": [{"namespace": "a"}]}}}, "/route/parentRefs/0"),
        ({"serving": {"route": {"hostnames": ["https://a"]}}}, "/route/hostnames/0"),
        ({"serving": {"canary": {"weight": 101}}}, "/serving/canary/weight"),
        ({"serving": {"canary": {"weight": -1}}}, "/serving/canary/weight"),
        ({"serving": {"canary": {"weight": "10%"}}}, "/serving/canary/weight"),
        ({"serving": {"canary": {"wieght": 10}}}, "wieght"),
        ({"serving": {"shadow": {"percent": 200}}}, "/serving/shadow/percent"),
        ({"serving": {"challenger": {"version": "latest"}}}, "/serving/challenger/version"),
        ({"dashboard": {"port": 80}}, "port"),
        ({"dashboard": {"image": {"tag": "a b"}}}, "/dashboard/image/tag"),
        ({"engine": {"secretKeys": {"s3": "KEY"}}}, "/engine/secretKeys/s3"),
        ({"engine": {"image": "worker:1"}}, "/engine/image"),
        ({"monitoring": True}, "/monitoring"),
        ({"monitoring": {"enabled": "yes"}}, "/monitoring/enabled"),
        ({"monitoring": {"pushgateway": "push:9091 "}}, "/monitoring/pushgateway"),
        ({"networkPolicy": {"egress": {"db": {}}}}, "/networkPolicy/egress/db"),
        ({"networkPolicy": {"egress": {"db": {"ports": [0]}}}}, "/egress/db/ports/0"),
        (
            {"networkPolicy": {"egress": {"db": {"ports": [1], "protocols": ["ICMP"]}}}},
            "/protocols/0",
        ),
        ({"externalSecrets": {"dvc": {"key": "a"}}}, "/externalSecrets/dvc"),
        ({"externalSecrets": {"dvc": {"store": "a", "key": "b", "kind": "Vault"}}}, "/dvc/kind"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_schema_error_names_the_invalid_field(helm: Helm, wrong: Values, location: str) -> None:
    done = helm("template", RELEASE, values=(one_stage(), IMAGE, wrong))
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.strip().startswith("- at ")]
    assert any(location in line for line in lines), done.stderr


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((IMAGE,), "add -f orchestration/pipelines.json"),
        ((one_stage(), {"image": {"tag": "v1"}}), "image.repository is empty"),
        (
            (one_stage(), {"suspend": ["batch"]}),
            "suspend: there is no pipeline batch, but training",
        ),
    ],
)
def test_missing_values_and_unknown_pipelines_are_reported(
    helm: Helm, values: tuple[Values, ...], message: str
) -> None:
    done = helm("template", RELEASE, values=values)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_name_too_long_for_a_cron_workflow_is_refused(helm: Helm) -> None:
    values = one_stage()
    values["pipelines"] = {"a" * 45: values["pipelines"]["training"]}
    done = helm("template", RELEASE, values=(values, IMAGE))
    assert "shorten the name of the release or the pipeline" in done.stderr


def test_the_values_schema_agrees_with_the_pipelines_schema(repo: Path) -> None:
    ours = json.loads((repo / "deploy/chart/values.schema.json").read_text())["$defs"]
    theirs = json.loads((repo / "orchestration/pipelines.schema.json").read_text())["$defs"]
    assert {name: ours[name] for name in theirs} == theirs
