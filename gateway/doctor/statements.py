"""The statements that the gateway runs all the time, with parameters from the database itself, and what their plans
say: made by the same questions that answer requests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database.engine import Database
from gateway.database.required import in_its_words
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.doctor.catalog import MANY
from gateway.doctor.explain import ExplainedPlan, explain, large_tables
from gateway.doctor.findings import Finding, Severity
from gateway.doctor.repairs import RepairSql
from gateway.reading.changes import ChangesSince
from gateway.reading.filters import (
    BatchFilter,
    CallbackAttemptFilter,
    CallbackDeliveriesFilter,
    CallbackDeliveryFilter,
    Filter,
    IntFilter,
    TextFilter,
    TimeFilter,
)
from gateway.reading.health import FAILED
from gateway.reading.pages import Order, Slice
from gateway.reading.questions import CountOf, CountUpTo, HealthOf, NodeById, PageOf, Question, RowById, RowsOf
from gateway.reading.stats import (
    AttemptCount,
    AttemptsByStatus,
    DeliveriesBy,
    DeliveriesByHost,
    DeliveriesBySlot,
    ResponseTimesOf,
    TotalsOf,
)
from gateway.reading.visibility import Visibility

FIRST_ROWS = 100
COUNTED = 1_000
GATHERED = 10  # parents
SAMPLED = 1_000  # batches
ID_ALONE = frozenset({"id"})
ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)  # others may be no time that Python has
NOBODY = "00000000-0000-0000-0000-000000000000"
NEWEST = Order("created_at", descending=True)
BATCHES, DELIVERIES, ATTEMPTS = batches, batch_callback_deliveries, batch_callback_delivery_attempts
ORDERS = {
    BATCHES: ("created_at", "completed_at"),
    DELIVERIES: ("created_at", "completed_at", "next_attempt_at"),
    ATTEMPTS: ("created_at", "response_time_ms"),
}
PAGE_NAMES = {table: f"page of {table.name} by" for table in ORDERS}


@dataclass(frozen=True, slots=True)
class SampleIds:
    """An organization, the time of its newest batch, and ids of its newest batches and some of their deliveries."""

    organization: str = NOBODY
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    batch_ids: tuple[str, ...] = (NOBODY,)
    delivery_ids: tuple[str, ...] = (NOBODY,)


def hot_statements(sample: SampleIds) -> dict[str, tuple[Question[Any], tuple[str, ...]]]:
    """The questions by what they are called, each with the ids that it is asked of."""
    # So short that walking an index is right: much of a table is rightly read whole.
    hour = TimeFilter(gte=sample.now - timedelta(hours=1))
    lately = CallbackDeliveryFilter(created_at=hour)
    failed = TextFilter(eq=FAILED)
    filters: dict[str, tuple[Any, Filter]] = {
        "failed batches": (BATCHES, BatchFilter(status_code=failed)),
        "batches with a failed delivery": (
            BATCHES,
            BatchFilter(
                created_at=hour,
                callback_deliveries=CallbackDeliveriesFilter(some=CallbackDeliveryFilter(status_code=failed)),
            ),
        ),
        "failed deliveries": (DELIVERIES, CallbackDeliveryFilter(status_code=failed)),
        "deliveries by reason": (DELIVERIES, CallbackDeliveryFilter(failure_reason_code=TextFilter(eq="timeout"))),
        "deliveries by host": (DELIVERIES, CallbackDeliveryFilter(callback_host=TextFilter(eq="hooks.example"))),
        "deliveries by event": (DELIVERIES, CallbackDeliveryFilter(event=TextFilter(eq="batch.failed"))),
        "deliveries in flight": (DELIVERIES, CallbackDeliveryFilter(in_flight=True)),
        "attempts by status": (ATTEMPTS, CallbackAttemptFilter(status_code=IntFilter(eq=503))),
    }
    one, batch_ids, delivery_ids = (sample.organization,), sample.batch_ids, sample.delivery_ids
    children: dict[str, tuple[Question[Any], tuple[str, ...]]] = {
        "deliveries of batches": (RowsOf(DELIVERIES.c.batch_id, ID_ALONE, Order("created_at"), FIRST_ROWS), batch_ids),
        "latest delivery of batches": (RowsOf(DELIVERIES.c.batch_id, ID_ALONE, NEWEST, 1), batch_ids),
        "attempts of deliveries": (
            RowsOf(ATTEMPTS.c.delivery_id, ID_ALONE, Order("attempt_number"), FIRST_ROWS),
            delivery_ids,
        ),
    }
    return {
        "a batch by id": (RowById(BATCHES, ID_ALONE), batch_ids),
        "a delivery by id": (RowById(DELIVERIES, ID_ALONE), delivery_ids),
        "an attempt by id": (RowById(ATTEMPTS, ID_ALONE), (NOBODY,)),
        "anything by id": (NodeById(((BATCHES, ID_ALONE), (DELIVERIES, ID_ALONE), (ATTEMPTS, ID_ALONE))), batch_ids),
        **children,
        **{
            f"{name}, gathered": (gathered, ids)
            for name, (question, ids) in children.items()
            if (gathered := question.batched(GATHERED)) is not None
        },
        "count of deliveries of batches": (CountOf(DELIVERIES.c.batch_id), batch_ids),
        "callback health of batches": (HealthOf(), batch_ids),
        **{
            f"{PAGE_NAMES[table]} {column}{' backwards' if descending else ''}": (
                PageOf(table, ID_ALONE, None, Order(column, descending), Slice(FIRST_ROWS)),
                one,
            )
            for table, columns in ORDERS.items()
            for column in columns
            for descending in (False, True)
        },
        **{
            f"page of {name}": (PageOf(table, ID_ALONE, where, NEWEST, Slice(FIRST_ROWS)), one)
            for name, (table, where) in filters.items()
        },
        **{
            f"changes of {table.name}": (ChangesSince(table, ID_ALONE, (sample.now, NOBODY), FIRST_ROWS), one)
            for table in (DELIVERIES, ATTEMPTS)
        },
        "count of failed deliveries": (CountUpTo(DELIVERIES, CallbackDeliveryFilter(status_code=failed), COUNTED), one),
        "totals of an hour": (TotalsOf(lately), one),
        "attempts of an hour": (AttemptCount(lately), one),
        "statuses of an hour": (DeliveriesBy("status_code", lately), one),
        "hosts of an hour": (DeliveriesByHost(lately, 10), one),
        "timeline of an hour": (DeliveriesBySlot(lately), one),
        "response statuses of an hour": (AttemptsByStatus(lately), one),
        "response times of an hour": (ResponseTimesOf(lately), one),
    }


async def inspect_plans(database: Database) -> list[Finding]:
    """What the plans of all hot statements show: large tables read whole, many rows sorted, statements that fail."""
    plans: dict[str, ExplainedPlan] = {}
    failures: list[Finding] = []
    async with database.connect() as connection:
        sample = await _sample(connection)
        large = await large_tables(connection, tuple(table.name for table in ORDERS))
        scope = Visibility(sample.organization, sample.now)
        for name, (question, ids) in hot_statements(sample).items():
            try:
                async with connection.begin_nested():
                    plans[name] = await explain(connection, question.statement(scope, ids), large)
            except SQLAlchemyError as failure:
                message = f"This fails: {name}: {in_its_words(failure)}."
                failures.append(Finding(Severity.ERROR, "STATEMENT_FAILS", message))
    return [*failures, *_slow(plans, RepairSql(database.dialect, database.schema))]


def _slow(plans: Mapping[str, ExplainedPlan], mending: RepairSql) -> Iterator[Finding]:
    advice = (
        " Either an index is missing, or the database's statistics are old, or what is asked for is much of the table."
    )
    for scanned in sorted({table for plan in plans.values() for table in plan.scanned}):
        names = [name for name, plan in plans.items() if scanned in plan.scanned]
        rows = max(plans[name].scanned[scanned] for name in names)
        message = f"All of {scanned} (about {rows:,} rows) is read for: {', '.join(names)}.{advice}"
        yield Finding(Severity.WARNING, "SEQUENTIAL_SCAN", message, (f"ANALYZE {mending.name(scanned)}",))
    for table in ORDERS:
        # Pages alone: what belongs to a few parents is always sorted.
        names = [name for name, plan in plans.items() if name.startswith(PAGE_NAMES[table]) and plan.sorted_rows > MANY]
        if names:
            rows = max(plans[name].sorted_rows for name in names)
            message = f"About {rows:,} rows of {table.name} are sorted for: {', '.join(names)}.{advice}"
            yield Finding(Severity.WARNING, "SORT", message, (f"ANALYZE {mending.name(table.name)}",))


async def _sample(connection: AsyncConnection) -> SampleIds:
    """The organization that most of some batches are of, and ids that are its own; nobody's where there is no batch."""
    # Not for any viewer: nothing of it leaves, it only makes parameters that are there. The most, since the plans of
    # an organization that has little tell nothing of those that have much.
    some = select(BATCHES.c.org_id).limit(SAMPLED).subquery()
    most = select(some.c.org_id).group_by(some.c.org_id).order_by(func.count().desc(), some.c.org_id).limit(1)
    organization = (await connection.execute(most)).scalar() or NOBODY
    ours = select(BATCHES.c.id, BATCHES.c.created_at).where(
        BATCHES.c.org_id == organization, BATCHES.c.created_at.between(*ANY_TIME)
    )
    newest = (await connection.execute(ours.order_by(BATCHES.c.created_at.desc(), BATCHES.c.id.desc()).limit(10))).all()
    if not newest:
        return SampleIds()
    ids = tuple(row.id for row in newest)
    children = select(DELIVERIES.c.id).where(DELIVERIES.c.org_id == organization, DELIVERIES.c.batch_id.in_(ids))
    deliveries = tuple((await connection.execute(children.limit(10))).scalars())
    return SampleIds(organization, newest[0].created_at, ids, deliveries or (NOBODY,))
