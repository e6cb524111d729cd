"""When a key was last used is kept, but not at the cost of a write a request."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import text

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.settings import Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key, list_keys
from gateway.writing.last_used import LastUsed
from tests.support.asking import statements
from tests.support.rows import OURS


async def only_key(database: Database) -> str:
    """The id of a new key."""
    await create_key(database, OURS, "test", [READ], "the-key")
    return str((await list_keys(database))[0].id)


async def last_used(database: Database) -> datetime | None:
    (key,) = await list_keys(database)
    time: datetime | None = key.last_used_at
    return time


@pytest.fixture
async def unwritable(database: Database) -> AsyncIterator[Database]:
    """The same database, where nothing can be written."""
    if database.dialect == "sqlite":
        reading = Database(f"sqlite+aiosqlite:///file:{database.url.database}?mode=ro&uri=true")
        yield reading
    else:
        name = database.url.database
        async with database.transaction() as connection:
            await connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
        reading = Database(database.url.render_as_string(hide_password=False))
        yield reading
        async with database.transaction() as connection:
            await connection.execute(text("SET TRANSACTION READ WRITE"))
            await connection.execute(text(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'))
    await reading.close()


async def test_many_uses_are_one_write(database: Database) -> None:
    key, used, before = await only_key(database), LastUsed(database), datetime.now(UTC)
    with statements(database) as seen:
        for _ in range(100):
            used.mark(key)
        await used.write()
        await used.write()
    assert len(seen) == 1
    written = await last_used(database)
    assert written is not None
    assert before <= written <= datetime.now(UTC)


async def test_time_that_another_process_wrote_is_not_set_back(database: Database) -> None:
    key, slow, quick = await only_key(database), LastUsed(database), LastUsed(database)
    slow.mark(key)
    quick.mark(key)
    await quick.write()
    written = await last_used(database)
    await slow.write()
    assert await last_used(database) == written


async def test_key_is_marked_when_it_is_used_and_written_when_the_gateway_stops(database: Database) -> None:
    await only_key(database)
    app = create_app(Settings(database_url=database.url.render_as_string(hide_password=False)))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://g") as client:
        await client.get(f"/v1/batches/{OURS}/callback", headers={"Authorization": "Bearer the-key"})
        assert await last_used(database) is None
    assert await last_used(database) is not None


async def test_read_only_database_is_written_to_once(
    database: Database, unwritable: Database, caplog: pytest.LogCaptureFixture
) -> None:
    key, used = await only_key(database), LastUsed(unwritable)
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        used.mark(key)
        await used.write()
    assert [record.getMessage() for record in caplog.records] == [
        "last_used_at of API keys is not written, the database is read-only: "
        + ("OperationalError" if database.dialect == "sqlite" else "DBAPIError")
    ]
    assert await last_used(database) is None


async def test_failure_is_logged_and_what_was_noted_is_written_later(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    key, used = await only_key(database), LastUsed(database)
    used.mark(key)
    async with database.transaction() as connection:
        await connection.execute(text("ALTER TABLE api_keys RENAME TO elsewhere"))
    await used.write()
    async with database.transaction() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO api_keys"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await used.write()
    assert await last_used(database) is not None
