"""Compute the tables that Feast serves: what was known when."""

from . import contract, files, ingest, params, tables
from .errors import Problem


def run() -> None:
    """features.build → data/features/<source>.parquet, the files that feature_repo/ names."""
    features = contract.features()
    sources = features.build(ingest.read(), params.section("features", features.Params))
    with files.replacing(files.FEATURES) as folder:
        for name, table in sorted(sources.items()):
            if "event_timestamp" not in table:
                raise Problem(f"features.build: {name} has no column event_timestamp: add it")
            tables.write(table, folder / f"{name}.parquet")
            print(f"{name}: {len(table):,} rows x {table.shape[1]} columns")
