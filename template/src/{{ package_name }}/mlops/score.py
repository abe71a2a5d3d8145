"""Score a shard with the model in production.

A shard is a process, so nothing is imported here that takes long: neither pandas nor MLflow.
"""

from . import files, registered

SCORES = files.BATCH / "scores"


def run(shard: int) -> None:
    """data/batch/{model,rows/<shard>.parquet} → data/batch/scores/<shard>.parquet."""
    table = f"{shard}.parquet"
    registered.by_own_code(files.PRODUCTION / "model", files.ROWS / table, SCORES / table)
