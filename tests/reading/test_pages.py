"""Paging as a property: whoever follows the cursors sees each row exactly once, both ways, while rows are inserted."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, insert

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from tests.support.asking import NOW, data
from tests.support.predicate import AnyFilter, keeps
from tests.support.rows import OURS, Rows, replace
from tests.support.strategies import as_variable, attempt_filters, batch_filters, delivery_filters, histories

PAGE = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: %sFilter, $orderBy: %sOrder) {
  list: %s(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy)
  { nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""

LISTS = {
    batches: ("batches", "Batch", ("CREATED_AT", "COMPLETED_AT"), batch_filters()),
    batch_callback_deliveries: (
        "callbackDeliveries",
        "CallbackDelivery",
        ("CREATED_AT", "COMPLETED_AT", "NEXT_ATTEMPT_AT"),
        delivery_filters(),
    ),
    batch_callback_delivery_attempts: (
        "callbackAttempts",
        "CallbackAttempt",
        ("CREATED_AT", "RESPONSE_TIME_MS"),
        attempt_filters(),
    ),
}


@st.composite
def _walks(draw: st.DrawFn) -> tuple[Any, ...]:
    """A list with a filter and an order, the size of its pages, and which way to walk it."""
    table = draw(st.sampled_from(list(LISTS)))
    _, _, fields, filters = LISTS[table]
    order = {"field": draw(st.sampled_from(fields)), "direction": draw(st.sampled_from(("ASC", "DESC")))}
    return table, draw(st.none() | filters), order, draw(st.integers(1, 4)), draw(st.booleans())


def _place(row: dict[str, Any], order: dict[str, str]) -> tuple[bool, Any, UUID]:
    value = row.get(order["field"].lower())
    return value is None, 0 if value is None else value, UUID(row["id"])


# The database is shared by all examples on purpose: each replaces all of its rows.
@pytest.mark.no_cover
@given(rows=histories(), walk=_walks(), twin=st.integers(0, 3))
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_following_cursors_visits_each_row_exactly_once(
    database: Database, rows: Rows, walk: tuple[Table, AnyFilter | None, dict[str, str], int, bool], twin: int
) -> None:
    table, filter_, order, size, backwards = walk
    root, name, _, _ = LISTS[table]
    await replace(database, rows)
    ours = [row for row in rows[table] if row["org_id"] == OURS and keeps(filter_, row, rows, NOW)]
    expected = sorted(ours, key=lambda row: _place(row, order), reverse=order["direction"] == "DESC")

    arguments: dict[str, Any] = {
        "last" if backwards else "first": size,
        "filter": as_variable(filter_),
        "orderBy": order,
    }
    seen: list[str] = []
    for page_number in range(100):
        page = (await data(database, PAGE % (name, name, root), **arguments))["list"]
        ids = [node["id"] for node in page["nodes"]]
        seen = [*ids, *seen] if backwards else [*seen, *ids]
        at = page["pageInfo"]
        if not at["hasPreviousPage" if backwards else "hasNextPage"]:
            break
        arguments["before" if backwards else "after"] = at["startCursor" if backwards else "endCursor"]
        if page_number < 5:
            await _insert_twin(database, table, rows, (page_number + twin) % len(rows[table]), page_number)
    were_there = {row["id"] for row in rows[table]}
    assert [id_ for id_ in seen if id_ in were_there] == [row["id"] for row in expected]
    assert len(seen) == len(set(seen))


async def _insert_twin(database: Database, table: Table, rows: Rows, number: int, page: int) -> None:
    """Insert a row beside one that was there: equal in all, but for its id and for not being in flight."""
    row = dict(rows[table][number])
    row["id"] = str(UUID(int=UUID(row["id"]).int + (page + 1) * 2**40))
    if "completed_at" in row and row["completed_at"] is None:
        row["completed_at"] = row["created_at"]
    async with database.transaction() as connection:
        await connection.execute(insert(table), [row])
