"""What a page of a large list costs the database: which index it walks, and how many rows it touches."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Table

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.database.types import AnySelect
from gateway.doctor.explain import nodes, read_plan
from gateway.reading import queries
from gateway.reading.changes import changed_rows
from gateway.reading.filters import (
    BatchFilter,
    CallbackAttemptFilter,
    CallbackAttemptsFilter,
    CallbackDeliveriesFilter,
    CallbackDeliveryFilter,
    ContainsFilter,
    Filter,
    IdFilter,
    IntFilter,
    MetadataFilter,
    TextFilter,
    TimeFilter,
    UrlFilter,
)
from gateway.reading.pages import Order, Slice
from gateway.reading.visibility import Visibility
from tests.conftest import administer, postgres_database
from tests.support.rows import OURS, identifier
from tests.support.volume import fill

# Each batch with two deliveries and four attempts. SQLite's plans tell no numbers, and are the same over fewer rows.
BATCHES = {"postgresql": 50_000, "sqlite": 5_000}
MIDDLE = datetime(2025, 6, 25, tzinfo=UTC)
SCOPE = Visibility(OURS, MIDDLE)
PAGE = 50
NEWEST = Order("created_at", descending=True)
HOUR = TimeFilter(gte=MIDDLE, lt=MIDDLE + timedelta(hours=1))

ORDERS = [
    (table, Order(column, descending))
    for table, columns in (
        (batches, ("created_at", "completed_at")),
        (batch_callback_deliveries, ("created_at", "completed_at", "next_attempt_at")),
        (batch_callback_delivery_attempts, ("created_at", "response_time_ms")),
    )
    for column in columns
    for descending in (False, True)
]

# A filter, and how many rows PostgreSQL may touch for a page of 50: what an index picks, or what must be walked until
# 50 rows satisfy it. One delivery in 100 is in flight, one in 20 failed, one attempt in 40 got a 503.
FILTERS: dict[str, tuple[Table, Filter, int]] = {
    "id": (batch_callback_deliveries, CallbackDeliveryFilter(id=IdFilter(in_=(identifier(0xDE, 5),))), 5),
    "batch": (batch_callback_deliveries, CallbackDeliveryFilter(batch_id=IdFilter(eq=identifier(0xBA, 7))), 5),
    "status": (batch_callback_deliveries, CallbackDeliveryFilter(status_code=TextFilter(eq="retrying")), 60),
    "statuses": (
        batch_callback_deliveries,
        CallbackDeliveryFilter(status_code=TextFilter(in_=("retrying", "failed"))),
        1500,
    ),
    "reason": (batch_callback_deliveries, CallbackDeliveryFilter(failure_reason_code=TextFilter(eq="timeout")), 60),
    "automatic": (batch_callback_deliveries, CallbackDeliveryFilter(is_automatic=True), 200),
    "in flight": (batch_callback_deliveries, CallbackDeliveryFilter(in_flight=True), 1100),
    "overdue": (batch_callback_deliveries, CallbackDeliveryFilter(overdue=True), 1100),
    "created": (batch_callback_deliveries, CallbackDeliveryFilter(created_at=HOUR), 200),
    "completed": (batch_callback_deliveries, CallbackDeliveryFilter(completed_at=HOUR), 400),
    "next attempt": (batch_callback_deliveries, CallbackDeliveryFilter(next_attempt_at=HOUR), 400),
    "attempt count": (batch_callback_deliveries, CallbackDeliveryFilter(attempt_count=IntFilter(gte=2)), 200),
    "url": (
        batch_callback_deliveries,
        CallbackDeliveryFilter(callback_url=UrlFilter(eq="https://host-7.example/hook")),
        5000,
    ),
    "url start": (
        batch_callback_deliveries,
        CallbackDeliveryFilter(callback_url=UrlFilter(starts_with="https://host-7.example/")),
        5000,
    ),
    "host": (batch_callback_deliveries, CallbackDeliveryFilter(callback_host=TextFilter(eq="host-7.example")), 5000),
    "event": (batch_callback_deliveries, CallbackDeliveryFilter(event=TextFilter(eq="batch.failed")), 60),
    "attempts": (
        batch_callback_deliveries,
        CallbackDeliveryFilter(
            attempts=CallbackAttemptsFilter(some=CallbackAttemptFilter(status_code=IntFilter(gte=500, lt=600)))
        ),
        15_000,
    ),
    "attempt status": (batch_callback_delivery_attempts, CallbackAttemptFilter(status_code=IntFilter(eq=503)), 60),
    "attempt class": (
        batch_callback_delivery_attempts,
        CallbackAttemptFilter(status_code=IntFilter(gte=500, lt=600)),
        5000,
    ),
    "response time": (
        batch_callback_delivery_attempts,
        CallbackAttemptFilter(response_time_ms=IntFilter(gte=2990)),
        25_000,
    ),
    "message": (
        batch_callback_delivery_attempts,
        CallbackAttemptFilter(error_message=ContainsFilter(contains="timed")),
        15_000,
    ),
    "attempt delivery": (
        batch_callback_delivery_attempts,
        CallbackAttemptFilter(delivery_id=IdFilter(eq=identifier(0xDE, 5))),
        5,
    ),
    "batch status": (batches, BatchFilter(status_code=TextFilter(eq="failed")), 60),
    "batch failure": (batches, BatchFilter(failure_code=TextFilter(eq="model_error")), 60),
    "batch completed": (batches, BatchFilter(completed_at=HOUR), 200),
    "metadata": (batches, BatchFilter(metadata=MetadataFilter(path=("customer", "tier"), eq="gold")), 200),
    "some delivery": (
        batches,
        BatchFilter(
            callback_deliveries=CallbackDeliveriesFilter(
                some=CallbackDeliveryFilter(status_code=TextFilter(eq="failed"))
            )
        ),
        20_000,
    ),
    "no delivery": (
        batches,
        BatchFilter(
            callback_deliveries=CallbackDeliveriesFilter(
                none=CallbackDeliveryFilter(status_code=TextFilter(eq="delivered"))
            )
        ),
        25_000,
    ),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of many rows."""
    if request.param == "postgresql":
        request.getfixturevalue("postgres_url")
        name = f"gateway_volume_{uuid4().hex}"
        asyncio.run(administer(f'CREATE DATABASE "{name}"'))
        url = postgres_database(name)
        asyncio.run(_filled(url))
        yield url
        asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))
    else:
        url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('volume')}/gateway.db"
        asyncio.run(_filled(url))
        yield url


async def _filled(url: str) -> None:
    database = Database(url)
    await migrate(database)
    await fill(database, BATCHES[database.dialect])
    await database.close()


@pytest.mark.parametrize(("table", "order"), ORDERS, ids=lambda value: getattr(value, "name", None) or str(value))
async def test_a_page_in_the_middle_of_an_order_reads_the_page_only(large: str, table: Table, order: Order) -> None:
    place = (1500 if order.column == "response_time_ms" else MIDDLE, identifier(1, 1))
    plan = await _plan(large, queries.rows_in_order(SCOPE, table, {"id"}, None, order, Slice(PAGE, after=place)))
    assert plan.scanned == set()
    assert plan.touched <= PAGE + 1
    assert not plan.sorts
    assert plan.ranged


@pytest.mark.parametrize("table", [batch_callback_deliveries, batch_callback_delivery_attempts], ids=lambda of: of.name)
async def test_what_changed_after_a_position_is_read_from_there(large: str, table: Table) -> None:
    plan = await _plan(large, changed_rows(SCOPE, table, {"id"}, (MIDDLE, identifier(1, 1)), PAGE))
    assert plan.scanned == set()
    assert plan.touched <= PAGE
    assert not plan.sorts
    assert plan.ranged


@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_walks_an_index_and_touches_few_rows(large: str, name: str) -> None:
    table, where, most = FILTERS[name]
    plan = await _plan(large, queries.rows_in_order(SCOPE, table, {"id"}, where, NEWEST, Slice(PAGE)))
    assert plan.scanned == set()
    assert plan.touched <= most


CHILDREN = {
    "deliveries of batches": (
        queries.rows_of_parents(SCOPE, batch_callback_deliveries.c.batch_id, [OURS], {"id"}, NEWEST, 10),
        "ix_batch_callback_deliveries_batch",
    ),
    "attempts of deliveries": (
        queries.rows_of_parents(
            SCOPE, batch_callback_delivery_attempts.c.delivery_id, [OURS], {"id"}, Order("attempt_number"), 10
        ),
        "ix_batch_callback_delivery_attempts_delivery",
    ),
    "deliveries of all batches": (
        queries.rows_of_all_parents(SCOPE, batch_callback_deliveries.c.batch_id, [OURS], {"id"}, NEWEST, 20),
        "ix_batch_callback_deliveries_batch",
    ),
    "attempts of all deliveries": (
        queries.rows_of_all_parents(
            SCOPE, batch_callback_delivery_attempts.c.delivery_id, [OURS], {"id"}, Order("attempt_number")
        ),
        "ix_batch_callback_delivery_attempts_delivery",
    ),
    "counts": (
        queries.counts_of_parents(SCOPE, batch_callback_deliveries.c.batch_id, [OURS]),
        "ix_batch_callback_deliveries_batch",
    ),
    "health": (queries.health_of_batches(SCOPE, [OURS]), "ix_batch_callback_deliveries_batch"),
    "by id": (queries.rows_by_id(SCOPE, batches, [OURS], {"status_code"}), "sqlite_autoindex_batches_1"),
}


@pytest.mark.parametrize("name", CHILDREN)
async def test_children_are_found_by_their_parents_without_statistics(sqlite_template: Path, name: str) -> None:
    statement, index = CHILDREN[name]
    plan = await _plan(f"sqlite+aiosqlite:///{sqlite_template}", statement)
    assert plan.scanned == set()
    assert plan.indexes == {index}


class _Plan:
    """What a plan says: tables read without an index, rows touched (PostgreSQL only), and sorts."""

    def __init__(self, plan: Any, dialect: str) -> None:
        if dialect == "sqlite":
            made = {f"SCAN {step.split()[1]}" for step in plan if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
            scans = {step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step}
            self.scanned = scans - made
            self.sorts = any("TEMP B-TREE" in step for step in plan)
            self.indexes = {word for step in plan for word in step.split() if word.startswith(("ix_", "sqlite_auto"))}
            self.ranged = "_at,id)" in plan[0] or "<expr>" in plan[0]
            self.touched = 0
        else:
            found = [node for node, _ in nodes(plan)]
            self.scanned = {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"}
            self.sorts = any("Sort" in node["Node Type"] for node in found)
            self.ranged = any("ROW(" in node.get("Index Cond", "") for node in found)
            reads = [node for node in found if "Scan" in node["Node Type"]]
            self.touched = sum(
                (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in reads
            )


async def _plan(url: str, statement: AnySelect) -> _Plan:
    database = Database(url)
    async with database.connect() as connection:
        plan = await read_plan(connection, statement, measured=True)
    await database.close()
    return _Plan(plan, database.dialect)
