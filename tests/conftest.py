"""What tests share: an empty, migrated database on each engine, the sample history, and the gateway over it."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from random import SystemRandom
from threading import enumerate as enumerate_threads
from threading import main_thread
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.tables import metadata
from gateway.settings import DatabaseSettings
from tests.support.machine import lacking, machine_held
from tests.support.servers import close as close_servers
from tests.support.servers import shared_server

SECONDS_TO_SEARCH = 800  # that a thorough test may take
LEFT = pytest.StashKey[list[str]]()
"""Threads that were still running when their process had run its last test."""


def pytest_configure() -> None:
    """All workers hash alike, another way in each run: names of tests that show a set are the same in all of them."""
    os.environ.setdefault("PYTHONHASHSEED", str(SystemRandom().randrange(2**32)))


def pytest_report_header() -> str:
    """What a failure may depend on."""
    return f"PYTHONHASHSEED={os.environ['PYTHONHASHSEED']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs on PostgreSQL, so that `-m postgresql` runs it on another version; give searches their time."""
    for item in items:
        parameters = item.callspec.params.values() if isinstance(item, pytest.Function) and has_parameters(item) else ()
        fixtures = getattr(item, "fixturenames", ())
        if "postgresql" in parameters or "empty_postgres" in fixtures or "postgres_url" in fixtures:
            item.add_marker("postgresql")
        if item.get_closest_marker("thorough"):
            item.add_marker(pytest.mark.timeout(SECONDS_TO_SEARCH))


def has_parameters(item: pytest.Function) -> bool:
    """Whether it is one of several tests of one function."""
    return hasattr(item, "callspec")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A connection that nobody closed has a thread that would keep the run from ending: name it, and fail."""
    close_servers()
    left = session.config.stash.setdefault(LEFT, [])
    left += [thread.name for thread in enumerate_threads() if not thread.daemon and thread is not main_thread()]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = left
    elif left:
        sys.stderr.write(f"Left running: {', '.join(left)}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker left running."""
    node.config.stash.setdefault(LEFT, []).extend(getattr(node, "workeroutput", {}).get("left", ()))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Do not wait for threads that never end."""
    if config.stash.get(LEFT, []):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(pytest.ExitCode.TESTS_FAILED)


@pytest.fixture(autouse=True)
def _beside_others(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Searches wait for one that has to have the machine for itself."""
    if request.node.get_closest_marker("thorough") is None or "weight" in request.fixturenames:
        yield
        return
    with machine_held(tmp_path_factory.getbasetemp().parent, alone=False):
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    asyncio.run(migrated(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A migrated PostgreSQL database of this process's own: tests run in several."""
    name = f"gateway_test_{uuid4().hex}"
    try:
        asyncio.run(administer(f'CREATE DATABASE "{name}"', f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    except (OSError, asyncpg.PostgresError) as reason:
        lacking(f"PostgreSQL does not answer at GATEWAY_TEST_POSTGRES_URL, where databases may be created: {reason}")
    url = postgres_database(name)
    asyncio.run(migrated(url))
    yield url
    asyncio.run(administer(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def empty_postgres(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Empties that database and returns its URL, over one connection: opening one takes longer than all deletions."""
    loop = asyncio.new_event_loop()
    connection: Any = None
    statements = ";".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))

    async def delete_all() -> None:  # quicker than TRUNCATE, which waits for the disk
        nonlocal connection
        if connection is None or connection.is_closed():
            connection = await asyncpg.connect(postgres_url)
        await connection.execute(statements)

    def empty() -> str:
        loop.run_until_complete(delete_all())
        return postgres_url

    yield empty
    if connection is not None:
        loop.run_until_complete(connection.close())
    loop.close()


@pytest.fixture
def postgres_database_url(empty_postgres: Callable[[], str]) -> str:
    """An empty, migrated database on PostgreSQL."""
    return empty_postgres()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database, once on each engine."""
    return _emptied(request, tmp_path)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Like `database_url`, but for all tests of a module that do not change what the first one wrote."""
    return _emptied(request, tmp_path_factory.mktemp("module"))


def _emptied(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "postgresql":
        empty: Callable[[], str] = request.getfixturevalue("empty_postgres")
        return empty()
    path = folder / "gateway.db"
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connection pool on an empty, migrated database, once on each engine."""
    database = Database(database_url, DatabaseSettings(database_wait_seconds=10))
    yield database
    await database.close()


def postgres_database(name: str) -> str:
    """The URL of a database on the test server."""
    return shared_server().rsplit("/", 1)[0] + "/" + name


async def migrated(url: str) -> None:
    """Migrate a database that is there, or an SQLite file that is made."""
    database = Database(url, DatabaseSettings(database_wait_seconds=10))
    await migrate(database)
    await database.close()


async def administer(*statements: str) -> None:
    """Run statements on the test server, each outside any transaction."""
    connection: Any = await asyncpg.connect(shared_server())
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
