"""The demo's platform answers as the platform does, and what it takes is delivered or given up."""

import asyncio

import httpx
import pytest
from sqlalchemy import select, update

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.writing.demo_platform import DemoPlatform
from tests.support.acting import ended
from tests.support.rows import OURS, THEIRS, identifier, store

pytestmark = pytest.mark.anyio

ADDRESS = f"/v1/batches/{identifier(0xBA, 1)}/callback-redeliveries"


def client_of(platform: DemoPlatform) -> httpx.AsyncClient:
    headers = {"Authorization": "Bearer ours", "X-Organization-Id": OURS}
    return httpx.AsyncClient(transport=httpx.ASGITransport(platform), base_url="http://platform", headers=headers)


async def test_a_redelivery_is_made_and_its_attempts_end(database: Database) -> None:
    await store(database, ended())
    platform = DemoPlatform(database, "ours", pauses=(0.0,) * 5, seed=1)
    async with client_of(platform) as client:
        made = (await client.post(ADDRESS)).json()
    assert (made["is_automatic"], made["status_code"], made["attempts"]) == (False, "pending", [])
    await asyncio.gather(*platform._under_way)
    (row,) = await database.fetch(select(deliveries).where(deliveries.c.id == made["id"]))
    tries = await database.fetch(select(attempts).order_by(attempts.c.attempt_number))
    assert [attempt.attempt_number for attempt in tries] == list(range(1, row.attempt_count + 1))
    assert row.completed_at is not None
    assert (row.status_code == "delivered") == (200 <= (tries[-1].status_code or 0) < 300)


async def test_it_has_the_platforms_guards(database: Database) -> None:
    await store(database, ended())
    platform = DemoPlatform(database, "ours", pauses=(60.0,))
    told = []
    async with client_of(platform) as client:
        for headers in ({"Authorization": "Bearer other"}, {"X-Organization-Id": THEIRS}, {}, {}):
            answer = await client.post(ADDRESS, headers=headers)
            told.append((answer.status_code, answer.json().get("code")))
        for lacking in ({"callback_url": None}, {"completed_at": None}):
            async with database.transaction() as connection:
                await connection.execute(update(batches).values(**lacking))
            told.append((await client.post(ADDRESS)).json()["errors"][0]["type"])
    for task in platform._under_way:
        task.cancel()
    assert told == [
        (401, "UNAUTHORIZED"),
        (404, "BATCH_NOT_FOUND"),
        (201, None),
        (422, "VALIDATION_ERROR"),
        "callback_url_missing",
        "batch_not_ended",
    ]
