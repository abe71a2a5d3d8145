"""Feast's point-in-time join, implemented with DuckDB's ASOF JOIN.

Feast's own join pairs each row with all earlier rows of its key and then keeps one, which takes
thirty times as long. Feast has no setting to replace it: see `in_use`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import ibis

if TYPE_CHECKING:
    from ibis.expr.types import Table

FeatureTable = tuple["Table", str, str | None, dict[str, str], list[str], timedelta | None]
"""A feature table as Feast passes it: the table, the names of its timestamp and created-timestamp
columns, the column of the entity table by join key, the feature columns, and the TTL."""
ENTITY_ROW, KNOWN, KEY = "entity_row_id", "known at", "key {}"


def in_use() -> AbstractContextManager[Any]:
    """Make Feast's Ibis-based offline stores, such as DuckDB's, use this module's `join`."""
    return patch("feast.infra.offline_stores.ibis.point_in_time_join", join)


def join(
    entity_table: "Table",
    feature_tables: Sequence[FeatureTable],
    event_timestamp_col: str,
    **_: object,
) -> "Table":
    """Return the entity table with the features that were known at each row's time.

    They come from the latest feature row with the same keys, and of several with the same time
    from the one that was created last. They are null if there is no such row or its TTL has passed.
    """
    rows = entity_table.drop(ENTITY_ROW)
    for feature_table in feature_tables:
        rows = _with_features(rows, feature_table, event_timestamp_col)
    return rows


def _with_features(rows: "Table", feature_table: FeatureTable, now: str) -> "Table":
    table, time, created, keys, features, ttl = feature_table
    if created:
        latest = ibis.row_number().over(
            ibis.window(group_by=[*keys, time], order_by=table[created].desc())
        )
        table = table.filter(latest == 0)
    renamed = [table[time].name(KNOWN), *(table[key].name(KEY.format(key)) for key in keys)]
    known = table.select(*renamed, *features)
    joined = rows.asof_join(
        known,
        rows[now] >= known[KNOWN],
        [rows[column] == known[KEY.format(key)] for key, column in keys.items()],
    )
    if ttl:
        valid = joined[KNOWN] + ibis.literal(ttl) >= joined[now]
        joined = joined.mutate(**{name: valid.ifelse(joined[name], None) for name in features})
    return joined.select(*rows.columns, *features)
