"""Organizations come into being when something of theirs is written."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database.tables import organizations

INSERT: dict[str, Callable[[Table], postgresql.Insert | sqlite.Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}


async def add_organization(
    connection: AsyncConnection, organization_id: str, name: str | None = None, created_at: datetime | None = None
) -> None:
    """Create the organization unless it is there. `created_at` is now where it is not given.

    Another transaction that is creating it at this moment is waited for.
    """
    row = {"id": organization_id, "name": name, "created_at": created_at or datetime.now(UTC)}
    insert = INSERT[connection.dialect.name](organizations)
    await connection.execute(insert.on_conflict_do_nothing(index_elements=[organizations.c.id]), row)
