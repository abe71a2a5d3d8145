"""Score one shard with the model in production.

Each shard is a process of its own, so slow imports such as pandas and MLflow are avoided here.
"""

from .. import files
from ..registry import isolated

SCORES = files.BATCH / "scores"


def run(shard: int) -> None:
    """data/batch/{model,rows/<shard>.parquet} → data/batch/scores/<shard>.parquet."""
    table = f"{shard}.parquet"
    isolated.by_own_code(files.PRODUCTION / "model", files.ROWS / table, SCORES / table)
