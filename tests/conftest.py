"""What tests share: an empty, migrated database on each engine, the sample history, and the gateway over it."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from threading import enumerate as enumerate_threads
from threading import main_thread
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import delete

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.tables import metadata

POSTGRES = os.environ.get("GATEWAY_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


def lacking(reason: str) -> None:
    """Skip a test for what the machine lacks; where GATEWAY_TEST_COMPLETE is set, as in CI, that is a failure."""
    if os.environ.get("GATEWAY_TEST_COMPLETE"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """A connection that nobody closed has a thread that would keep the run from ending: name it, and fail."""
    left = [thread.name for thread in enumerate_threads() if not thread.daemon and thread is not main_thread()]
    if left:
        sys.stderr.write(f"Left running: {', '.join(left)}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    asyncio.run(_migrated(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A migrated PostgreSQL database of this test run's own."""
    name = f"gateway_test_{uuid4().hex}"
    try:
        asyncio.run(administer(f'CREATE DATABASE "{name}"'))
        asyncio.run(administer(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    except (OSError, asyncpg.PostgresError) as reason:
        lacking(
            f"PostgreSQL does not answer at GATEWAY_TEST_POSTGRES_URL ({reason}): "
            "apt-get install postgresql, or set the variable to a server where databases may be created"
        )
    url = postgres_database(name)
    asyncio.run(_migrated(url))
    yield url
    asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def postgres_database_url(postgres_url: str) -> str:
    """An empty, migrated database on PostgreSQL."""
    asyncio.run(_emptied(postgres_url))
    return postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database, once on each engine."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        asyncio.run(_emptied(url))
        return url
    path = tmp_path / "gateway.db"
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Like `database_url`, but for all tests of a module that do not change what the first one wrote."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        asyncio.run(_emptied(url))
        return url
    path = tmp_path_factory.mktemp("module") / "gateway.db"
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connection pool on an empty, migrated database, once on each engine."""
    database = Database(database_url)
    yield database
    await database.close()


def postgres_database(name: str) -> str:
    """The URL of a database on the test server."""
    return POSTGRES.rsplit("/", 1)[0] + "/" + name


async def _migrated(url: str) -> None:
    database = Database(url)
    await migrate(database)
    await database.close()


async def _emptied(url: str) -> None:
    database = Database(url)
    async with database.transaction() as connection:
        for table in reversed(metadata.sorted_tables):  # quicker than TRUNCATE, which waits for the disk
            await connection.execute(delete(table))
    await database.close()


async def administer(statement: str) -> None:
    """Run a statement on the test server outside any transaction."""
    connection: Any = await asyncpg.connect(POSTGRES)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
