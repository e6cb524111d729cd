"""The platform's address for redeliveries, passed on byte for byte, and not there without a platform."""

import httpx
import pytest

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.tables import batches
from gateway.settings import Settings
from gateway.viewer import READ
from tests.rest.test_openapi import REFERENCE, without_prose
from tests.support.acting import acting, ended
from tests.support.platform import REFUSALS, platform_over
from tests.support.rows import THEIRS, batch, identifier, store

pytestmark = pytest.mark.anyio

BATCH = identifier(0xBA, 1)
ADDRESS = f"/v1/batches/{BATCH}/callback-redeliveries"


@pytest.mark.parametrize("how", ["made", "again", *REFUSALS])
async def test_what_the_platform_answers_is_passed_on(database: Database, database_url: str, how: str) -> None:
    await store(database, ended())
    async with (
        platform_over(database, lambda _: how) as platform,
        acting(database, database_url, platform.url) as client,
    ):
        answer = await client.post(ADDRESS)
    (sent,) = platform.answers
    assert (answer.status_code, answer.content) == sent
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("reset before", 502, "ANSWER_LOST"),
        ("failed", 502, "ANSWER_LOST"),
        ("timeout", 502, "ANSWER_LOST"),
    ],
)
async def test_what_is_not_known_is_said_so(
    database: Database, database_url: str, how: str, status: int, code: str
) -> None:
    await store(database, ended())
    async with (
        platform_over(database, lambda _: how) as platform,
        acting(database, database_url, platform.url) as client,
    ):
        answer = await client.post(ADDRESS)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_lost_answer_is_made_of_the_rows(database: Database, database_url: str) -> None:
    await store(database, ended())
    async with (
        platform_over(database, lambda _: "reset after") as platform,
        acting(database, database_url, platform.url) as client,
    ):
        answer = await client.post(ADDRESS)
        history = await client.get(f"/v1/batches/{BATCH}/callback")
    assert answer.status_code == 200
    assert answer.json() == history.json()[-1]
    assert answer.json()["id"] == platform.seen[0].delivery_id


async def test_a_platform_that_is_not_there_is_unavailable(database: Database, database_url: str) -> None:
    await store(database, ended())
    async with acting(database, database_url, "http://127.0.0.1:9") as client:
        answer = await client.post(ADDRESS)
    assert (answer.status_code, answer.json()["code"]) == (503, "PLATFORM_UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"


async def test_without_a_platform_the_address_is_not_there(database: Database, database_url: str) -> None:
    async with acting(database, database_url, None) as client:
        answer = await client.post(ADDRESS)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_a_foreign_batch_is_not_found_and_nothing_is_sent(database: Database, database_url: str) -> None:
    rows = ended()
    await store(database, {**rows, batches: [*rows[batches], batch(9, THEIRS)]})
    async with platform_over(database) as platform:
        async with acting(database, database_url, platform.url) as client:
            unknown = await client.post(f"/v1/batches/{identifier(0xBA, 9)}/callback-redeliveries")
            wrong = await client.post("/v1/batches/nonsense/callback-redeliveries")
            stranger = await client.post(ADDRESS, headers={"Authorization": "Bearer nobody"})
            from_elsewhere = await client.post(ADDRESS, headers={"Sec-Fetch-Site": "cross-site"})
        async with acting(database, database_url, platform.url, scopes=(READ,)) as client:
            reading = await client.post(ADDRESS)
    told = [answer.status_code for answer in (unknown, wrong, stranger, from_elsewhere, reading)]
    assert (told, platform.seen) == ([404, 422, 401, 403, 403], [])


async def test_the_document_has_the_address_and_the_frozen_operation_as_it_was() -> None:
    settings = Settings(database_url="sqlite+aiosqlite:///unopened.db", platform_url="http://platform.example")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(settings)), base_url="http://gateway"
    ) as client:
        published = (await client.get("/api/openapi.public.json")).json()
    (frozen,) = REFERENCE["paths"]
    assert without_prose(published["paths"][frozen]) == REFERENCE["paths"][frozen]
    made = published["paths"]["/v1/batches/{batch_id}/callback-redeliveries"]["post"]
    assert {"200", "201", "401", "403", "404", "422", "502", "503"} <= set(made["responses"])
    named = "#/components/schemas/models__batch_callback_delivery__BatchCallbackDelivery__FullValidator"
    assert made["responses"]["201"]["content"]["application/json"]["schema"] == {"$ref": named}
    assert without_prose(published["components"]) == REFERENCE["components"]
