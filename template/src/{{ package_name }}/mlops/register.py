"""Register a model that passed the gate, with where it comes from and its card."""

import importlib.metadata
import tempfile
from pathlib import Path
from typing import Any

import jinja2
from packaging.requirements import Requirement
from pandera.pandas import DataFrameModel

from . import (
    contract,
    dataset,
    evaluate,
    files,
    gate,
    lineage,
    params,
    pyfunc,
    reference,
    report,
    tables,
    tracking,
)
from .commit import DIRTY
from .errors import Problem
from .settings import settings

REGISTERED = files.REPORTS / "registered.json"
CARD = files.REPORTS / "model_card.md"
LONGEST = 5_000
"""Characters of a description, in MLflow's database."""
DIRTY_TREE = (
    "It was trained from a tree with changes that no commit holds. Before it is promoted,"
    " commit them and type `make register`."
)


def run() -> None:
    """model/ and reports/ → a version in MLflow, which becomes the champion."""
    verdict = files.read_json(gate.GATE)
    if not verdict["passed"]:
        raise Problem(f"{gate.GATE} says that the gate has not passed: nothing is registered")
    digest, text = files.digest(files.MODEL), card(verdict)
    same = {"model_digest": digest, "code_digest": files.digest(_code())}
    judged = {"data_digest": files.digest(files.DATASET), "gate": "passed"}
    origin = tracking.origin()
    run_id = judged["judged_in"] = tracking.record(gate="passed", test_rows=dataset.judged_on())
    with tracking.connected() as client:
        version = _find(client, same) or _create(client, run_id, {**origin, **same})
        # A model that is found was judged anew, perhaps on other rows or by other bounds.
        if _dirty(version) and not origin["git_sha"].endswith((DIRTY, "unknown")):
            judged |= origin  # a commit holds now what made it
        for name, value in judged.items():
            client.set_model_version_tag(version.name, version.version, name, value)
        version = client.get_model_version(version.name, version.version)
        client.update_model_version(version.name, version.version, _description(version, text))
        with tempfile.TemporaryDirectory() as scratch:
            sample = reference.write(Path(scratch))
            # The source is models:/<id>; a version that is found does not carry the id itself.
            client.log_model_artifact(Path(version.source).name, str(sample))
        lineage.keep(client, version, verdict, text)
        client.set_registered_model_alias(version.name, tracking.CHAMPION, version.version)
    files.write_text(CARD, text)
    files.write_json(
        REGISTERED,
        {"name": version.name, "version": int(version.version), "model_digest": digest},
    )
    print(f"{version.name} version {version.version} is the champion")
    if _dirty(version):
        print(DIRTY_TREE)


def _code() -> Path:
    return Path("src", settings().package)


def _dirty(version: Any) -> bool:
    return str(version.tags.get("git_sha", "")).endswith(DIRTY)


def _description(version: Any, text: str) -> str:
    """The card, as far as MLflow takes it."""
    if _dirty(version):
        text = f"**{DIRTY_TREE}**\n\n{text}"
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 100]}\n\n… The whole card is an artifact of the version's run."


def _find(client: Any, same: dict[str, str]) -> Any | None:
    name = settings().model_name
    wanted = [f"tags.{tag} = '{value}'" for tag, value in same.items()]
    found = client.search_model_versions(" and ".join([f"name = '{name}'", *wanted]))
    return next((version for version in found if _has_files(client, version)), None)


def _has_files(client: Any, version: Any) -> bool:
    """Whether the version's files are still there: people can delete them in MLflow, or there."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.list_logged_model_artifacts(Path(version.source).name)
    except MlflowException as error:
        if not tracking.is_gone(error):
            raise
        return False
    return any(file.path == "MLmodel" for file in found)


def _create(client: Any, run_id: str, tags: dict[str, str]) -> Any:
    import mlflow

    name, package = settings().model_name, settings().package
    with mlflow.start_run(run_id=run_id):
        client.update_run(run_id, "FAILED")  # until it is whole: see tracking.create_run
        logged = mlflow.pyfunc.log_model(
            name="model",
            loader_module=f"{package}.mlops.pyfunc",
            data_path=str(files.MODEL),
            code_paths=[str(_code())],
            signature=_signature(),
            pip_requirements=requirements(),
        )
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    return client.create_model_version(
        name,
        source=logged.model_uri,
        run_id=run_id,
        tags=tags,
        model_id=logged.model_id,
    )


def _signature() -> Any:
    """MLflow's signature, by the schema: rows would not tell which values may be missing."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    def columns(schema: type[DataFrameModel]) -> Schema:
        types = pyfunc.types(schema).items()
        return Schema([ColSpec(AnyType() if one == "any" else one, name) for name, one in types])

    schema = contract.schema()
    return ModelSignature(columns(schema.Features), columns(schema.Predictions))


def requirements() -> list[str]:
    """Give the repo's own dependencies, each at the version that is installed.

    One whose marker says that it is for other machines is not.
    """
    wanted = map(Requirement, settings().dependencies)
    names = {each.name for each in wanted if not each.marker or each.marker.evaluate()}
    return sorted(f"{name}=={importlib.metadata.version(name)}" for name in names)


def card(verdict: dict[str, Any]) -> str:
    """Give the model card, every number of it from the files of this run."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": report.number, "cell": report.cell}
    environment.filters |= {"bound": gate.limits, "margin": gate.margin}
    rules = params.section("gate", gate.Params)
    splits = {name: tables.read(files.DATASET / f"{name}.parquet") for name in dataset.SPLITS}
    scores = files.read_json(files.METRICS)
    return environment.get_template("model_card.md.j2").render(
        name=settings().model_name,
        description=settings().description,
        splits={
            name: (f"{len(rows):,}", rows["event_timestamp"].min(), rows["event_timestamp"].max())
            for name, rows in splits.items()
        },
        params=tracking.flat(params.recorded()),
        metrics=report.names(scores),
        gated=sorted({*rules.metrics, *rules.slices}) or report.names(scores),
        models={"model": scores, **scores["baselines"]},
        slices=files.read_json(evaluate.SLICES),
        rules=verdict["rules"],
        model_digest=files.digest(files.MODEL),
        data_digest=files.digest(files.DATASET),
    )
