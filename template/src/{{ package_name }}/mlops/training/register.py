"""Register a model that passed the gate, with its lineage and model card."""

import importlib.metadata
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from pandera.pandas import DataFrameModel

from .. import contract, files, params, reporting, tables
from ..data import dataset
from ..errors import Problem
from ..registry import lineage, pyfunc, reference, tracking, versions
from ..registry.rules import limits, margin
from ..registry.versions import ModelVersion
from ..settings import settings
from ..vcs.git import DIRTY
from . import evaluate, gate

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.models import ModelSignature

REGISTERED = files.REPORTS / "registered.json"
CARD = files.REPORTS / "model_card.md"
LONGEST = 5_000
"""Maximum length of a description in MLflow's database, in characters."""
DIRTY_TREE = (
    "It was trained from a working tree with uncommitted changes. Commit them and type"
    " `make register` before you promote it."
)


def run() -> None:
    """Register model/ and its reports as a version in MLflow; it becomes the champion.

    Raises:
        Problem: the gate has not passed.
    """
    verdict = files.read_json(gate.GATE)
    if not verdict["passed"]:
        raise Problem(f"{gate.GATE}: the gate has not passed, so nothing is registered")
    digest, text = files.digest(files.MODEL), card(verdict)
    same = {"model_digest": digest, "code_digest": files.digest(_code())}
    judged = {"data_digest": files.digest(files.DATASET), "gate": "passed"}
    origin = tracking.origin()
    run_id = judged["judged_in"] = tracking.record(gate="passed", test_rows=dataset.judged_on())
    with tracking.connected() as client:
        entity = _find(client, same) or _create(client, run_id, {**origin, **same})
        # An existing version was judged again, perhaps on other rows or with other bounds.
        if versions.read(entity).is_dirty and not origin["git_sha"].endswith((DIRTY, "unknown")):
            judged |= origin  # its code is committed now
        for name, value in judged.items():
            client.set_model_version_tag(entity.name, entity.version, name, value)
        version = versions.read(client.get_model_version(entity.name, entity.version))
        client.update_model_version(version.name, version.number, _description(version, text))
        with tempfile.TemporaryDirectory() as scratch:
            sample = reference.write(Path(scratch), dataset.read("test"))
            # The source is models:/<id>; a version from a search has no id of its own.
            client.log_model_artifact(Path(version.source).name, str(sample))
        lineage.keep(client, version, verdict, text)
        client.set_registered_model_alias(version.name, versions.CHAMPION, version.number)
    files.write_text(CARD, text)
    files.write_json(
        REGISTERED,
        {"name": version.name, "version": int(version.number), "model_digest": digest},
    )
    print(f"{version} is the champion")
    if version.is_dirty:
        print(DIRTY_TREE)


def _code() -> Path:
    return Path("src", settings().package)


def _description(version: ModelVersion, text: str) -> str:
    """Return the card, cut to the length that MLflow accepts."""
    if version.is_dirty:
        text = f"**{DIRTY_TREE}**\n\n{text}"
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 100]}\n\n… The full card is an artifact of the version's run."


def _find(client: "MlflowClient", same: dict[str, str]) -> "MlflowVersion | None":
    name = settings().model_name
    filters = [f"tags.{tag} = '{value}'" for tag, value in same.items()]
    matches = client.search_model_versions(" and ".join([f"name = '{name}'", *filters]))
    return next((each for each in matches if _has_files(client, versions.read(each))), None)


def _has_files(client: "MlflowClient", version: ModelVersion) -> bool:
    """Return whether the version's files still exist; MLflow keeps the version without them."""
    from mlflow.exceptions import MlflowException

    try:
        artifacts = client.list_logged_model_artifacts(Path(version.source).name)
    except MlflowException as error:
        if not tracking.is_gone(error):
            raise
        return False
    return any(file.path == "MLmodel" for file in artifacts)


def _create(client: "MlflowClient", run_id: str, tags: dict[str, str]) -> "MlflowVersion":
    import mlflow

    name, package = settings().model_name, settings().package
    with mlflow.start_run(run_id=run_id):
        client.update_run(run_id, "FAILED")  # until it is complete: see tracking.create_run
        logged = mlflow.pyfunc.log_model(
            name="model",
            loader_module=f"{package}.mlops.registry.pyfunc",
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


def _signature() -> "ModelSignature":
    """Return the signature, from the schema: rows do not show which values may be missing."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    def columns(schema: type[DataFrameModel]) -> Schema:
        types = pyfunc.types(schema).items()
        return Schema([ColSpec(AnyType() if kind == "any" else kind, name) for name, kind in types])

    schema = contract.schema()
    return ModelSignature(columns(schema.Features), columns(schema.Predictions))


def requirements() -> list[str]:
    """Return the repo's own dependencies, each pinned to its installed version.

    A dependency whose marker excludes this machine is left out.
    """
    dependencies = map(Requirement, settings().dependencies)
    names = {each.name for each in dependencies if not each.marker or each.marker.evaluate()}
    return sorted(f"{name}=={importlib.metadata.version(name)}" for name in names)


def card(verdict: dict[str, Any]) -> str:
    """Return the model card; all its numbers come from the files of this run."""
    rules = params.section("gate", gate.Params)
    splits = {name: tables.read(files.DATASET / f"{name}.parquet") for name in dataset.SPLITS}
    scores = files.read_json(files.METRICS)
    return reporting.render(
        "training/model_card.md.j2",
        name=settings().model_name,
        description=settings().description,
        splits={
            name: (f"{len(rows):,}", rows["event_timestamp"].min(), rows["event_timestamp"].max())
            for name, rows in splits.items()
        },
        params=tracking.flat(params.recorded()),
        metrics=reporting.names(scores),
        gated=sorted({*rules.metrics, *rules.slices}) or reporting.names(scores),
        models={"model": scores, **scores["baselines"]},
        slices=files.read_json(evaluate.SLICES),
        rules=[
            {**rule, "bound": limits(rule), "margin": margin(rule)} for rule in verdict["rules"]
        ],
        model_digest=files.digest(files.MODEL),
        data_digest=files.digest(files.DATASET),
    )
