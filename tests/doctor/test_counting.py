"""The doctor's SQL lets the owner of somebody else's tables have them watched, and then counting is exact over them."""

from pathlib import Path

import pytest
from sqlalchemy import delete

from gateway.cli.doctor import examine
from gateway.counting.triggers import is_watched
from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.doctor.findings import Finding, Severity
from gateway.settings import DatabaseSettings
from tests.support.counted import Books
from tests.support.existing import Existing
from tests.support.rows import START


@pytest.fixture
def own(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'own.db'}"


async def examined(existing: Existing, own: str) -> list[Finding]:
    database = Database(own)
    await migrate(database)
    await database.close()
    settings = existing.settings(own_database_url=own, keys_database_url=existing.reader, counting=True)
    return [found for found in (await examine(settings))[1] if found.code != "LAST_USED_UNWRITTEN"]


async def test_tables_that_nothing_watches_are_told_with_the_sql_that_has_them_watched(
    existing: Existing, own: str
) -> None:
    (found,) = [each for each in await examined(existing, own) if each.code == "UNWATCHED"]
    assert found.weight is Severity.INFO
    await existing.run_now(*found.sql)
    reader = Database(existing.reader, DatabaseSettings(database_schema=existing.schema))
    assert await is_watched(reader) is (reader.dialect == "postgresql")  # the other is opened to be read only
    await reader.close()


async def test_a_row_that_is_deleted_from_watched_tables_of_somebody_else_is_counted_no_more(
    existing: Existing, own: str
) -> None:
    (found,) = [each for each in await examined(existing, own) if each.code == "UNWATCHED"]
    await existing.run_now(*found.sql)
    url = existing.reader if existing.schema else existing.url
    reader = Database(url, DatabaseSettings(database_schema=existing.schema))
    stored = Database(own)
    books = Books(reader, stored)
    assert await books.counter.lease.acquire()
    await books.counter.complete("0a000000-0000-4000-8000-000000000001")
    asked = "query { callbackStats { attempts } }"
    assert await books.answered(asked, START) == {"attempts": 18}
    owner = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    async with owner.transaction() as connection:
        await connection.execute(delete(attempts).where(attempts.c.attempt_number == 1))
    assert await books.answered(asked, START) == {"attempts": 12}
    await books.counter.complete("0a000000-0000-4000-8000-000000000001")
    assert await books.answered(asked, START) == {"attempts": 12}
    for database in (reader, stored, owner):
        await database.close()


async def test_where_nothing_is_counted_the_doctor_says_nothing_of_it(existing: Existing) -> None:
    findings = (await examine(existing.settings()))[1]
    assert not [found for found in findings if found.code in {"UNWATCHED", "MISSING_TABLE"}]
