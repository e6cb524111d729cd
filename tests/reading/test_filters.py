"""The filters in SQL and the filters in plain Python keep the same rows, on every database."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.reading import queries
from gateway.reading.pages import Order, Slice
from gateway.reading.visibility import Visibility
from tests.support.predicate import keeps
from tests.support.rows import OURS, START, Rows, replace
from tests.support.strategies import attempt_filters, batch_filters, delivery_filters, histories

NOW = START + timedelta(minutes=720)


# The database is shared by all examples on purpose: each replaces all of its rows.
@pytest.mark.no_cover
@given(
    rows=histories(),
    asked=st.fixed_dictionaries(
        {
            batches: st.lists(batch_filters(), min_size=4, max_size=4),
            batch_callback_deliveries: st.lists(delivery_filters(), min_size=4, max_size=4),
            batch_callback_delivery_attempts: st.lists(attempt_filters(), min_size=4, max_size=4),
        }
    ),
)
@settings(
    max_examples=75,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_a_filter_keeps_the_same_rows_in_sql_and_in_python(
    database: Database, rows: Rows, asked: dict[Any, list[Any]]
) -> None:
    await replace(database, rows)
    for table, filters in asked.items():
        for filter_ in filters:
            statement = queries.rows_in_order(
                Visibility(OURS, NOW), table, (), filter_, Order("created_at"), Slice(1000)
            )
            kept = {row.id for row in await database.fetch(statement)}
            ours = [row for row in rows[table] if row["org_id"] == OURS]
            assert kept == {row["id"] for row in ours if keeps(filter_, row, rows, NOW)}
