"""What must be in a database for the gateway to serve from it, whoever made its tables: every column that is read."""

from collections.abc import Iterable, Sequence

from asyncpg.exceptions import UndefinedColumnError
from sqlalchemy import Column, Table, exists, select, text

from gateway.database.engine import REFUSED, Database
from gateway.database.optional import is_optional
from gateway.database.tables import (
    api_keys,
    batch_callback_deliveries,
    batch_callback_delivery_attempts,
    batches,
    changed_periods,
    counted_organizations,
    counted_periods,
    counting_lease,
    organizations,
)

ROWS = (organizations, batches, batch_callback_deliveries, batch_callback_delivery_attempts)
KEYS = (api_keys,)
COUNTED_TABLES = (counted_organizations, counted_periods, changed_periods, counting_lease)
UNREAD = frozenset({organizations.c.created_at})


def read_columns(table: Table) -> Sequence[Column[object]]:
    """The columns of a table that some statement selects or compares."""
    return [column for column in table.c if column not in UNREAD]


async def missing(database: Database, tables: Iterable[Table]) -> list[str]:
    """Why these tables cannot be read, a line each, in the database's words; no row is read to find out.

    Optional columns that are not there are no reason: from now on the database reads them as null.
    """
    wanted = list(tables)
    if await _refusal(database, *wanted) is None:
        return []
    lacking = {table.name: await _missing_columns(database, table) for table in wanted}
    database.read_as_null({**database.lacking, **lacking})
    refusals = [await _refusal(database, table) for table in wanted]
    return [refusal for refusal in refusals if refusal is not None]


async def _missing_columns(database: Database, table: Table) -> frozenset[str]:
    optional = [column for column in table.c if is_optional(column)]
    return frozenset([column.name for column in optional if await _is_missing(database, column)])


async def _is_missing(database: Database, column: Column[object]) -> bool:
    """Whether the table is there and the column is not."""
    asked = text(f"SELECT EXISTS (SELECT {column.table.name}.{column.name} FROM {column.table.name} LIMIT 0)")  # noqa: S608
    try:
        await database.fetch(asked, newest=True)
    except UndefinedColumnError:
        return True
    except REFUSED as failure:
        return "no such column" in str(failure)  # SQLite has no code for it
    return False


async def _refusal(database: Database, *tables: Table) -> str | None:
    asked = [exists(select(*read_columns(table)).limit(0)) for table in tables]
    try:
        await database.fetch(select(*asked), newest=True)
    except REFUSED as failure:
        return in_its_words(failure)
    return None


def in_its_words(failure: Exception) -> str:
    """What the database itself says of a statement that failed, in one line."""
    said = str(getattr(failure, "orig", None) or failure).strip()
    return (said.splitlines() or [type(failure).__name__])[0].rpartition(">: ")[2]
