"""PgBouncer in transaction mode between the gateway and PostgreSQL, with fewer connections than the gateway's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.http.explorer import gallery
from gateway.settings import DatabaseSettings, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.asking import is_subscription
from tests.support.rows import OURS, history, identifier, store
from tests.support.servers import Pooler, Server, pgbouncer, postgres_server

UNNAMED = "?prepared_statement_cache_size=0"
pytestmark = pytest.mark.postgresql
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"
NAMED = text("SELECT count(*) FROM pg_prepared_statements")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server(client_connection_check_interval="250ms") as server:
        yield server


@pytest.fixture(scope="module")
def pooler(server: Server) -> Iterator[Pooler]:
    """Lends two connections to the server."""
    with pgbouncer(server, default_pool_size=2) as pooler:
        yield pooler


@pytest.fixture
async def database(pooler: Pooler) -> AsyncIterator[Database]:
    database = Database(pooler.url() + UNNAMED, DatabaseSettings(database_pool_size=10))
    yield database
    await database.close()


async def _answers(url: str, key: str) -> list[Any]:
    """What a gateway over this database tells to many mixed requests at once."""
    app = create_app(Settings(database_url=url, database_pool_size=10, rate_limit=0))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://gateway", headers={"Authorization": f"Bearer {key}"}
    ) as client:
        asked = [client.get(f"/v1/batches/{identifier(0xBA, number)}/callback") for number in range(1, 22)]
        asked += [
            client.post("/graphql", json={"query": question.query, "variables": question.variables})
            for question in gallery() * 10
            if not is_subscription(question.query)
        ]
        return [(answer.status_code, answer.json()) for answer in await asyncio.gather(*asked)]


async def test_many_mixed_requests_share_two_connections(database: Database, server: Server) -> None:
    await migrate(database)
    await store(database, history(20))
    key = await create_key(database, OURS, "through the pooler", [READ])
    through = await _answers(database.url.render_as_string(hide_password=False), key)
    assert [status for status, _ in through] == [200] * 20 + [404] + [200] * 60
    assert not [body for status, body in through if status == 200 and "errors" in body]
    assert through == await _answers(server.url(), key)
    # What one process named, another would run into: asyncpg's names are unique in a process only.
    assert {(await database.fetch(NAMED))[0][0] for _ in range(10)} == {0}


async def test_a_statement_that_nobody_waits_for_ends_behind_the_pooler(database: Database, server: Server) -> None:
    left = [asyncio.ensure_future(database.fetch(text(f"SELECT pg_sleep({600 + n})"))) for n in range(6)]
    async with asyncio.timeout(20):
        while server.sql(SLEEPING) != "2":
            await asyncio.wait(left, timeout=0.05)
        for each in left:
            each.cancel()
        await asyncio.wait(left)
        numbers = [database.fetch(text(f"SELECT {number}")) for number in range(20)]
        assert [rows[0][0] for rows in await asyncio.gather(*numbers)] == list(range(20))
        while server.sql(SLEEPING) != "0":
            await asyncio.wait(left, timeout=0.05)
