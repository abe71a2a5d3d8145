"""Join the examples with their features, point in time, and split them by time."""

import hashlib
from datetime import date
from typing import Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, model_validator

from . import contract, derive, features, files, ingest, params, tables
from .errors import Problem

SPLITS = ("train", "valid", "test")


class Params(BaseModel):
    """Where the splits begin, in UTC: train | valid_from → valid | test_from → test."""

    model_config = ConfigDict(extra="forbid")

    valid_from: date
    test_from: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from >= self.test_from:
            raise ValueError("valid_from must be before test_from")
        return self


def run() -> None:
    """features.examples → Feast's point-in-time join → data/dataset/{train,valid,test}.parquet."""
    # Feast takes seconds to import; the stages that only `read` go without.
    from . import projections, store

    schema, examples = contract.schema(), features.examples(ingest.read(), features.section())
    with store.opened() as feast:
        model = projections.of(feast, store.service(feast))
        served = [name for one in model.members for name in one.fields]
        derive.Derivation(derive.hook()).check(served, model.keys)
        joined = store.join(feast, examples)
    columns = schema.Examples.to_schema().columns
    if tables.TIME not in columns:
        raise Problem(f"schema.Examples has no {tables.TIME}: the rows are split by it; add it")
    if missing := [n for n, one in columns.items() if one.required and n not in joined]:
        raise Problem(f"schema.Examples wants {missing}: neither examples nor Feast give them")
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
    """Split by time; each part in order of time."""
    when = tables.utc(examples[tables.TIME]).sort_values(kind="stable")
    examples = examples.loc[when.index].reset_index(drop=True)
    starts = [pd.Timestamp(day, tz="UTC") for day in (params.valid_from, params.test_from)]
    part = when.searchsorted(pd.Series(starts))
    bounds = [0, *part, len(examples)]
    parts = {
        name: examples.iloc[start:end].reset_index(drop=True)
        for name, start, end in zip(SPLITS, bounds, bounds[1:], strict=False)
    }
    if empty := [name for name, rows in parts.items() if rows.empty]:
        span = f"{when.min()} to {when.max()}"
        raise Problem(f"params.yaml: dataset: no rows for {', '.join(empty)}; the rows are {span}")
    return parts


def read(name: str) -> pd.DataFrame:
    """One split of the dataset, with the types of schema.Examples."""
    path = files.DATASET / f"{name}.parquet"
    return tables.check(tables.read(path), contract.schema().Examples, str(path))


def judged_on() -> str:
    """Return a digest of which test rows there are, by their times and labels.

    The metrics of two models compare only where it is the same. Features are not part of it: a
    model with one more is judged on the same rows.
    """
    schema, test = contract.schema(), tables.read(files.DATASET / "test.parquet")
    inputs = schema.Features.to_schema().columns
    names = [name for name in schema.Examples.to_schema().columns if name not in inputs]
    kept = test[[name for name in names if name in test]]
    kept = kept.apply(lambda column: tables.texts(column) if column.dtype == object else column)
    hashes = pd.util.hash_pandas_object(kept, index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).hexdigest()
