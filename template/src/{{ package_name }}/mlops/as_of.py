"""Feast's point-in-time join, by DuckDB's ASOF JOIN.

Feast's own pairs each row with all earlier rows of its key, then keeps one: half a minute of
processor time where this takes a second. Feast has no setting for another: see `in_use`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import ibis

FeatureTable = tuple[Any, str, str | None, dict[str, str], list[str], timedelta | None]
"""A table with features as Feast gives it: the table, its columns of the rows' time and of when
they were made, the column of the entity table by join key, the features' columns, and the ttl."""
ENTITY_ROW, KNOWN, KEY = "entity_row_id", "known at", "key {}"


def in_use() -> AbstractContextManager[Any]:
    """Let the offline stores of Feast that use Ibis, as DuckDB's does, join by this module."""
    return patch("feast.infra.offline_stores.ibis.point_in_time_join", join)


def join(
    entity_table: Any, feature_tables: Sequence[FeatureTable], event_timestamp_col: str, **_: Any
) -> Any:
    """Return the entity table with the features that were known at each row's time.

    These are from the latest row of its keys until then, of those of one time from the one that was
    made last, and null where there is none or its ttl is over.
    """
    rows = entity_table.drop(ENTITY_ROW)
    for feature_table in feature_tables:
        rows = _with_features(rows, feature_table, event_timestamp_col)
    return rows


def _with_features(rows: Any, feature_table: FeatureTable, now: str) -> Any:
    table, time, made, keys, features, ttl = feature_table
    if made:
        latest = ibis.row_number().over(
            ibis.window(group_by=[*keys, time], order_by=table[made].desc())
        )
        table = table.filter(latest == 0)
    renamed = [table[time].name(KNOWN), *(table[key].name(KEY.format(key)) for key in keys)]
    known = table.select(*renamed, *features)
    found = rows.asof_join(
        known,
        rows[now] >= known[KNOWN],
        [rows[column] == known[KEY.format(key)] for key, column in keys.items()],
    )
    if ttl:
        holds = found[KNOWN] + ibis.literal(ttl) >= found[now]
        found = found.mutate(**{name: holds.ifelse(found[name], None) for name in features})
    return found.select(*rows.columns, *features)
