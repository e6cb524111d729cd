"""Every statement carries the viewer's organization, on both dialects."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.database.tables import batch_callback_deliveries, batches
from gateway.database.types import AnySelect
from gateway.reading import queries
from gateway.reading.filters import (
    BatchFilter,
    CallbackAttemptFilter,
    CallbackAttemptsFilter,
    CallbackDeliveriesFilter,
    CallbackDeliveryFilter,
    IntFilter,
)
from gateway.reading.pages import Order, Slice
from gateway.reading.visibility import Visibility
from tests.support.rows import OURS, THEIRS
from tests.support.tenancy import assert_names_organization, builders

PARENT = batch_callback_deliveries.c.batch_id
NOW = datetime(2026, 5, 6, tzinfo=UTC)
SCOPE = Visibility(OURS, NOW)
IDS = [THEIRS]
PLACE = (NOW, THEIRS)
FULL = BatchFilter(
    callback_deliveries=CallbackDeliveriesFilter(
        some=CallbackDeliveryFilter(
            attempts=CallbackAttemptsFilter(some=CallbackAttemptFilter(status_code=IntFilter(gte=500)))
        ),
        none=CallbackDeliveryFilter(overdue=True),
    )
)
BUILDERS: dict[str, list[AnySelect]] = {
    "rows_by_id": [queries.rows_by_id(SCOPE, batches, IDS, {"id"})],
    "rows_of_parents": [
        queries.rows_of_parents(SCOPE, PARENT, IDS, {"id"}, Order("created_at"), first, after, where)
        for first in (None, 5)
        for after in (None, PLACE)
        for where in (None, CallbackDeliveryFilter(attempts=CallbackAttemptsFilter(some=CallbackAttemptFilter())))
    ],
    "rows_of_all_parents": [
        queries.rows_of_all_parents(SCOPE, PARENT, IDS, {"id"}, Order("created_at"), most, after, where)
        for most in (None, 5)
        for after in (None, PLACE)
        for where in (None, CallbackDeliveryFilter(attempts=CallbackAttemptsFilter(some=CallbackAttemptFilter())))
    ],
    "counts_of_parents": [queries.counts_of_parents(SCOPE, PARENT, IDS)],
    "health_of_batches": [queries.health_of_batches(SCOPE, IDS)],
    "nodes_by_id": [queries.nodes_by_id(SCOPE, IDS, {batches: {"id"}, batch_callback_deliveries: {"id"}})],
    "rows_in_order": [
        queries.rows_in_order(SCOPE, batches, {"id"}, where, Order("completed_at"), Slice(5, backwards, PLACE, PLACE))
        for where in (None, FULL)
        for backwards in (False, True)
    ],
    "count_up_to": [queries.count_up_to(SCOPE, batches, where, 10) for where in (None, FULL)],
}


def test_no_builder_is_left_out() -> None:
    assert set(builders(queries)) == {*BUILDERS, "organization"}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_statement_names_the_organization_for_each_of_its_tables(name: str) -> None:
    for statement in BUILDERS[name]:
        assert_names_organization(statement)


def test_what_is_asked_for_is_read_and_nothing_else() -> None:
    statement: Any = queries.rows_by_id(SCOPE, batches, IDS, {"cost"})
    assert [column.name for column in statement.selected_columns] == ["id", "cost"]
