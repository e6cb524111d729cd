"""Counting in tests: an organization's past counted over, and rows that are written meanwhile."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, delete, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.counting.answers import Statistics
from gateway.counting.counter import Counter
from gateway.counting.triggers import unwatch_tables, watch_tables
from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.execution.run import GraphQLRequest, run
from gateway.reading.reader import Reader
from gateway.schema.context import Context
from gateway.viewer import READ, Viewer
from tests.support.asking import DOCUMENTS
from tests.support.rows import OURS, Rows

Row = dict[str, Any]


class Books:
    """The rows of a database as a test knows them, whoever counts them, and whoever answers."""

    def __init__(self, rows: Database, stored: Database | None = None, *, watched: bool = True) -> None:
        self.database = rows
        self.stored = stored or rows
        self.watched = watched
        self.statistics = Statistics(rows, self.stored)
        self.counter = Counter(rows, self.stored)

    async def open(self) -> None:
        """Count what there is."""
        await (watch_tables if self.watched else unwatch_tables)(self.database)
        assert await self.counter.lease.acquire(from_servers=True)
        await self.counter.complete(OURS)

    async def answered(self, document: str, now: datetime, **variables: Any) -> Any:
        """What `callbackStats` answers with the stored periods."""
        reader = Reader(self.database, OURS, now, shortcut=self.statistics)
        context = Context(Viewer(OURS, frozenset({READ}), "test"), reader)
        answer = (await run(GraphQLRequest(document, variables), DOCUMENTS, context)).body
        assert "errors" not in answer, answer["errors"]
        return answer["data"]["callbackStats"]


async def write(connection: AsyncConnection, before: Rows, after: Rows) -> None:
    """Make the rows that were before those that are after: deletes, updates, inserts. A new `updated_at` is now."""
    for table in (attempts, deliveries):
        left = {row["id"] for row in after[table]}
        for row in before[table]:
            if row["id"] not in left:
                await connection.execute(delete(table).where(table.c.id == row["id"]))
    for table in (deliveries, attempts):
        known = {row["id"]: row for row in before[table]}
        for row in after[table]:
            await _put(connection, table, row, known.get(row["id"]))


async def _put(connection: AsyncConnection, table: Table, row: Row, known: Row | None) -> None:
    values = {name: value for name, value in row.items() if known is None or known.get(name, known) != value}
    if values.get("updated_at") is not None:
        values["updated_at"] = datetime.now(UTC)
    if known is None:
        await connection.execute(insert(table), values)
    elif values:
        await connection.execute(update(table).where(table.c.id == row["id"]).values(values))
