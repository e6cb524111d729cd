"""A gateway that counts, beside everything else that it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from sqlalchemy import select, update

from gateway.app import create_app
from gateway.counting import counter
from gateway.counting.triggers import watch_tables
from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import counted_organizations
from gateway.settings import Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.asking import data
from tests.support.rows import OURS, history, store

ASKED = "{ callbackStats { deliveries delivered attempts byStatus { statusCode deliveries } } }"


@asynccontextmanager
async def asking(settings: Settings, key: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://gateway",
            headers={"Authorization": f"Bearer {key}"},
        ) as client,
    ):
        yield client


async def test_a_gateway_counts_by_itself_and_answers_as_before(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(database, history(5))
    await watch_tables(database)
    expected = await data(database, ASKED)
    key = await create_key(database, OURS, "test", [READ])
    monkeypatch.setattr(counter, "SECONDS_BETWEEN_ROUNDS", 0.01)
    url = database.url.render_as_string(hide_password=False)
    async with asking(Settings(database_url=url, counting=True), key) as client:
        async with asyncio.timeout(60):
            while not await _is_counted(database):
                answer = await client.post("/graphql", json={"query": ASKED})
                assert answer.json()["data"] == expected
        async with database.transaction() as connection:
            await connection.execute(update(deliveries).values(status_code="delivered"))
        expected = await data(database, ASKED)
        answer = await client.post("/graphql", json={"query": ASKED})
        assert answer.json()["data"] == expected
        assert expected["callbackStats"]["delivered"] == 10


async def _is_counted(database: Database) -> bool:
    rows = await database.fetch(select(counted_organizations.c.counted_until))
    return bool(rows) and rows[0].counted_until > 0


async def test_a_gateway_starts_without_the_database_of_its_counted_periods(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    nobody = "postgresql://postgres@127.0.0.1:1/nobody"
    settings = Settings(database_url=url, keys_database_url=url, own_database_url=nobody, counting=True)
    await store(database, history(5))
    key = await create_key(database, OURS, "test", [READ])
    async with asking(settings, key) as client:
        answer = await client.post("/graphql", json={"query": ASKED})
        assert answer.json()["data"] == await data(database, ASKED)
