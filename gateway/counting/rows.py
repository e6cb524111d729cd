"""What is counted, from the rows: statements that answer for a stretch of quarters of one organization."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select

from gateway.counting.periods import number_at, start_of
from gateway.counting.tally import Tally
from gateway.database.dialects import SLOT, time_slot, unindexed
from gateway.database.engine import Database
from gateway.database.statements import CompiledStatement
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import organizations
from gateway.database.types import AnySelect, UtcDateTime
from gateway.errors import Uncountable
from gateway.reading.reader import ORGANIZATION

START: Any = bindparam("start", type_=UtcDateTime())
END: Any = bindparam("end", type_=UtcDateTime())


def cells_of_deliveries(organization: Any, start: Any = START, end: Any = END) -> AnySelect:
    """How many deliveries each quarter and cell have."""
    groups = _cell()
    counted = select(*groups, func.count().label("count")).where(
        deliveries.c.org_id == organization, deliveries.c.created_at >= start, deliveries.c.created_at < end
    )
    return counted.group_by(*groups)


def cells_of_attempts(organization: Any, start: Any = START, end: Any = END) -> AnySelect:
    """How many attempts each quarter, cell, answer and response time have; the quarter is the delivery's."""
    groups = [
        *_cell(),
        unindexed(attempts.c.status_code).label("code"),
        unindexed(attempts.c.response_time_ms).label("ms"),
    ]
    counted = (
        select(*groups, func.count().label("count"))
        .join_from(attempts, deliveries, attempts.c.delivery_id == deliveries.c.id)
        .where(
            unindexed(attempts.c.org_id) == organization,
            deliveries.c.org_id == organization,
            deliveries.c.created_at >= start,
            deliveries.c.created_at < end,
        )
    )
    return counted.group_by(*groups)


def next_delivery(organization: Any, start: Any = START) -> AnySelect:
    """When the first delivery from a time on was created."""
    later = select(deliveries.c.created_at).where(deliveries.c.org_id == organization, deliveries.c.created_at >= start)
    return later.order_by(deliveries.c.created_at, deliveries.c.id).limit(1)


class Rows:
    """The rows of a database, as they are counted: always the newest."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def organizations(self) -> list[str]:
        """All organizations."""
        rows = await self.database.fetch(select(organizations.c.id).order_by(organizations.c.id), newest=True)
        return [row.id for row in rows]

    async def next_number(self, organization: str, number: int) -> int | None:
        """The first quarter from that one on that has deliveries."""
        values = {"organization": organization, "start": start_of(number)}
        statement, raw = await self._run(next_delivery, values)
        rows = statement.rows(raw)
        return number_at(rows[0].created_at) if rows else None

    async def count(self, organization: str, start: int, end: int) -> tuple[dict[int, Tally], int]:
        """What is counted of each quarter from `start` to before `end` that has rows, and how much was read for it."""
        values = {"organization": organization, "start": start_of(start), "end": start_of(end)}
        found: dict[int, Tally] = defaultdict(Tally)
        read = 0
        for counted, is_attempts in ((cells_of_deliveries, False), (cells_of_attempts, True)):
            statement, raw = await self._run(counted, values)
            read += len(raw)
            try:
                rows = zip(*statement.columns(raw).values(), strict=True)
                for slot, status, reason, event, automatic, in_flight, host, *rest in rows:
                    number, cell = slot // SLOT, (status, reason, event, automatic, bool(in_flight), host)
                    if not start <= number < end:
                        raise Uncountable("A delivery's created_at is no time as the gateway writes it.")
                    if is_attempts:
                        found[number].add_attempts(cell, *rest)
                    else:
                        found[number].add_deliveries(number, cell, *rest)
            except (TypeError, ValueError) as odd:
                raise Uncountable(f"A row holds what its columns' types do not allow: {odd}.") from odd
        return {number: tally.finish() for number, tally in found.items()}, read

    async def _run(
        self, statement: Callable[[Any], AnySelect], values: Mapping[str, Any]
    ) -> tuple[CompiledStatement, Sequence[Sequence[Any]]]:
        compiled = self.database.compiled(statement, lambda: statement(ORGANIZATION))
        return compiled, await self.database.run(compiled, values, newest=True)


def _cell() -> list[ColumnElement[Any]]:
    return [
        time_slot(deliveries.c.created_at).label("slot"),
        unindexed(deliveries.c.status_code).label("status"),
        unindexed(deliveries.c.failure_reason_code).label("reason"),
        unindexed(deliveries.c.event).label("event"),
        unindexed(deliveries.c.is_automatic).label("automatic"),
        deliveries.c.completed_at.is_(None).label("in_flight"),
        unindexed(deliveries.c.callback_host).label("host"),
    ]
