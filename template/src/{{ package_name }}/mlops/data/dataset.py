"""Join the examples with their features, point-in-time, and split them by time."""

import hashlib
from datetime import date
from typing import Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, model_validator

from .. import contract, derive, files, params, tables
from ..errors import Problem
from . import features, ingest

SPLITS = ("train", "valid", "test")


class Params(BaseModel):
    """First days of the splits, in UTC: train | valid_from → valid | test_from → test."""

    model_config = ConfigDict(extra="forbid")

    valid_from: date
    test_from: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from >= self.test_from:
            raise ValueError("valid_from must be before test_from")
        return self


def run() -> None:
    """features.examples → Feast's point-in-time join → data/dataset/{train,valid,test}.parquet.

    Raises:
        Problem: the joined rows do not satisfy schema.Examples, or a split is empty.
    """
    # Importing Feast takes seconds, and stages that only `read` do not need it.
    from . import feature_store, projections

    schema, examples = contract.schema(), features.examples(ingest.read(), features.section())
    with feature_store.opened() as feast:
        model = projections.resolve(feast, feature_store.service(feast))
        served = [name for view in model.members for name in view.fields]
        derive.Derivation(derive.hook()).check(served, model.keys)
        joined = feature_store.join(feast, examples)
    columns = schema.Examples.to_schema().columns
    if tables.TIME not in columns:
        raise Problem(
            f"schema.Examples has no {tables.TIME}: rows are split by this column; add it"
        )
    if missing := [n for n, column in columns.items() if column.required and n not in joined]:
        raise Problem(
            f"schema.Examples requires {', '.join(missing)}: return it from features.examples, or"
            " add it to the feature service in feature_repo/"
        )
    parts = split(
        tables.check(
            joined[[name for name in columns if name in joined]], schema.Examples, "the dataset"
        ),
        params.section("dataset", Params),
    )
    with files.replacing(files.DATASET) as folder:
        for name, part in parts.items():
            tables.write(part, folder / f"{name}.parquet")
            print(f"{name}: {len(part):,} rows x {part.shape[1]} columns")


def split(examples: pd.DataFrame, params: Params) -> dict[str, pd.DataFrame]:
    """Split by time; the rows of each part are in order of time.

    Raises:
        Problem: a part has no rows.
    """
    times = tables.utc(examples[tables.TIME]).sort_values(kind="stable")
    examples = examples.loc[times.index].reset_index(drop=True)
    starts = [pd.Timestamp(day, tz="UTC") for day in (params.valid_from, params.test_from)]
    positions = times.searchsorted(pd.Series(starts))
    bounds = [0, *positions, len(examples)]
    parts = {
        name: examples.iloc[start:end].reset_index(drop=True)
        for name, start, end in zip(SPLITS, bounds, bounds[1:], strict=False)
    }
    if empty := [name for name, rows in parts.items() if rows.empty]:
        span = f"from {times.min()} to {times.max()}"
        raise Problem(
            f"params.yaml: dataset: no rows for {', '.join(empty)}; there are rows {span}"
        )
    return parts


def read(name: str) -> pd.DataFrame:
    """Return one split of the dataset, with the types of schema.Examples."""
    path = files.DATASET / f"{name}.parquet"
    return tables.check(tables.read(path), contract.schema().Examples, str(path))


def judged_on() -> str:
    """Return a digest of the test rows: all columns except the model's inputs.

    Metrics of two models are comparable only if their digests are equal. Features do not count, so
    that a model with an additional feature can be compared.
    """
    schema, test = contract.schema(), tables.read(files.DATASET / "test.parquet")
    inputs = schema.Features.to_schema().columns
    names = [name for name in schema.Examples.to_schema().columns if name not in inputs]
    kept = test[[name for name in names if name in test]]
    kept = kept.apply(lambda column: tables.texts(column) if column.dtype == object else column)
    hashes = pd.util.hash_pandas_object(kept, index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).hexdigest()
