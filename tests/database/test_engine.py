"""The database: what it answers to, and what becomes of a statement that nobody waits for any more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url, text

from gateway.app import create_app
from gateway.database.address import parse_url
from gateway.database.engine import Database
from gateway.database.replicas import Replicas
from gateway.errors import DatabaseUnavailable
from gateway.settings import DatabaseSettings, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.proxy import proxied
from tests.support.rows import OURS, history, identifier, store
from tests.support.serving import serving

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
}
ACTIVE = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND state = 'active' AND backend_type = 'client backend'"
)
DELIVERIES = "query ($id: ID!) { batch(id: $id) { callbackDeliveries { id } } }"


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite"),
        ("postgres://u@h/n", "postgresql+asyncpg"),
        ("postgresql://u@h/n", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u@h/n", "postgresql+asyncpg"),
    ],
)
def test_a_url_needs_no_driver(url: str, driver: str) -> None:
    assert parse_url(url).url.drivername == driver


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://u@h/n", "postgresql+psycopg://u@h/n"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="GATEWAY_DATABASE_URL"):
        parse_url(url)


async def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    database = Database("postgresql://user:secret@127.0.0.1:1/x")
    with pytest.raises(DatabaseUnavailable, match="No database answers") as caught:
        await database.check()
    assert "secret" not in caught.value.message
    await database.close()


async def test_a_statement_that_nobody_waits_for_is_stopped(database: Database) -> None:
    endless = asyncio.ensure_future(database.fetch(text(ENDLESS[database.dialect])))
    await _until_running(database, endless)
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless
    assert not isinstance(database.source, Replicas)
    await asyncio.wait_for(database.source.pool.come_to_rest(), 5)
    assert database.source.pool.in_use == 0
    if database.dialect == "postgresql":
        assert (await database.fetch(ACTIVE))[0][0] == 0


async def test_a_database_that_is_gone_is_said_to_be_unavailable(postgres: Database) -> None:
    key = await _key(postgres)
    url = make_url(postgres.url)
    async with proxied(url.host or "127.0.0.1", url.port or 5432) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        app = create_app(Settings(database_url=through))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway", headers={"Authorization": f"Bearer {key}"}
        ) as client:
            path = f"/v1/batches/{identifier(0xBA, 1)}/callback"
            assert (await client.get(path)).status_code == 200
            proxy.stop()
            gone = await client.get(path)
            assert (gone.status_code, gone.json()["code"]) == (503, "UNAVAILABLE")


async def test_who_waits_for_a_connection_can_leave(database_url: str) -> None:
    database = Database(database_url, DatabaseSettings(database_pool_size=1))
    endless = text(ENDLESS[database.dialect])
    first, second = (asyncio.ensure_future(database.fetch(endless)) for _ in range(2))
    while database.source.pool.waiting == 0:
        await asyncio.wait({first, second}, timeout=0.01)
    for statement in (second, first):
        statement.cancel()
        with pytest.raises(asyncio.CancelledError):
            await statement
    assert (await database.fetch(text("SELECT 1")))[0][0] == 1
    await database.close()


@pytest.mark.parametrize("face", ["graphql", "rest"])
async def test_a_client_that_hangs_up_leaves_no_statement_behind(postgres: Database, face: str) -> None:
    key = await _key(postgres)
    path, body = ("/graphql", {"query": DELIVERIES, "variables": {"id": identifier(0xBA, 1)}})
    headers = {"Authorization": f"Bearer {key}"}
    app = create_app(Settings(database_url=postgres.url.render_as_string(hide_password=False)))
    with serving(app) as address:
        async with postgres.transaction() as locked, httpx.AsyncClient(base_url=address, headers=headers) as client:
            await client.get("/readyz")
            assert (await client.get(f"/v1/batches/{identifier(0xBA, 2)}/callback")).status_code == 404
            await locked.execute(text("LOCK TABLE batches IN ACCESS EXCLUSIVE MODE"))
            rest = client.get(f"/v1/batches/{identifier(0xBA, 1)}/callback")
            asked = asyncio.ensure_future(client.post(path, json=body) if face == "graphql" else rest)
            if face == "graphql":
                rest.close()
            await _until_active(postgres, 1)
            asked.cancel()
            await _until_active(postgres, 0)


async def test_a_database_that_falls_silent_is_answered_for_and_found_again(postgres: Database) -> None:
    key = await _key(postgres)
    url = make_url(postgres.url)
    async with proxied(url.host or "127.0.0.1", url.port or 5432) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        app = create_app(Settings(database_url=through, database_pool_size=2, deadline_seconds=0.5))
        body = {"query": DELIVERIES, "variables": {"id": identifier(0xBA, 1)}}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway", headers={"Authorization": f"Bearer {key}"}
        ) as client:
            answer = (await client.post("/graphql", json=body)).json()
            assert "errors" not in answer
            proxy.hole()
            late = await asyncio.wait_for(asyncio.gather(*(client.post("/graphql", json=body) for _ in range(4))), 5)
            assert {each.json()["errors"][0]["extensions"]["code"] for each in late} == {"DEADLINE_EXCEEDED"}
            path, unseen = f"/v1/batches/{identifier(0xBA, 1)}/callback", {"Authorization": "Bearer unseen"}
            rest = await asyncio.wait_for(asyncio.gather(client.get(path), client.get(path, headers=unseen)), 5)
            assert [(each.status_code, each.json()["code"]) for each in rest] == [(504, "DEADLINE_EXCEEDED")] * 2
            proxy.heal()
            async with asyncio.timeout(8):
                while (await client.post("/graphql", json=body)).json() != answer:
                    pass


@pytest.fixture
async def postgres(postgres_database_url: str) -> AsyncIterator[Database]:
    """An empty database on PostgreSQL with a little history."""
    database = Database(postgres_database_url)
    await store(database, history(1))
    yield database
    await database.close()


async def _key(database: Database) -> str:
    return await create_key(database, OURS, "hanging up", [READ])


async def _until_active(database: Database, statements: int) -> None:
    async with asyncio.timeout(5):
        while (await database.fetch(ACTIVE))[0][0] != statements:
            pass


async def _until_running(database: Database, statement: asyncio.Future[Any]) -> None:
    """Until a statement has its connection, and on PostgreSQL runs there."""
    if database.dialect == "postgresql":
        await _until_active(database, 1)
    else:
        while database.source.pool.in_use == 0:
            await asyncio.wait({statement}, timeout=0.01)
