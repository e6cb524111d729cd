"""The triggers that a test makes are gone after it: the database on PostgreSQL is that of the whole run."""

from collections.abc import AsyncIterator

import pytest

from gateway.counting.triggers import unwatch_tables
from gateway.database.engine import Database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connection pool on an empty, migrated database, once on each engine, that nothing watches afterwards."""
    database = Database(database_url)
    await unwatch_tables(database)
    yield database
    await unwatch_tables(database)
    await database.close()
