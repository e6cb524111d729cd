"""Organizations come into being when something of theirs is written."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database.backends import traits_of
from gateway.database.tables import organizations


async def add_organization(
    connection: AsyncConnection, organization_id: str, name: str | None = None, created_at: datetime | None = None
) -> None:
    """Create the organization unless it is there. `created_at` is now where it is not given.

    Another transaction that is creating it at this moment is waited for.
    """
    row = {"id": organization_id, "name": name, "created_at": created_at or datetime.now(UTC)}
    insert = traits_of(connection.dialect).insert(organizations)
    await connection.execute(insert.on_conflict_do_nothing(index_elements=[organizations.c.id]), row)
