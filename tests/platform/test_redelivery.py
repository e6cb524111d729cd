"""One callback delivered again: every answer of a platform that behaves and misbehaves, over real sockets."""

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batches
from gateway.observability.logs import Json
from gateway.viewer import READ, REDELIVER
from tests.support.acting import acting, ended
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.platform import REFUSALS, TAKEN, UNTAKEN, platform_over
from tests.support.rows import OURS, THEIRS, batch, identifier, store

pytestmark = pytest.mark.anyio

BATCH = identifier(0xBA, 1)
DOCUMENT = """
mutation Again($id: ID!) {
  redeliverCallback(input: {batchId: $id}) {
    __typename
    ... on RedeliveryMade { batchId foundInRows delivery { id batchId isAutomatic callbackUrl attempts { id } } }
    ... on RedeliveryRefused { batchId reason message }
    ... on RedeliveryUnknown { batchId message }
  }
}
"""
# What a refusal is told as.
REASONS = {
    "conflict": "CONFLICT",
    "state": "CONFLICT",
    "bad request": "REFUSED",
    "unauthorized": "NOT_ALLOWED",
    "forbidden": "NOT_ALLOWED",
    "not found": "BATCH_NOT_FOUND",
    "limited": "PLATFORM_UNAVAILABLE",
    "busy": "PLATFORM_UNAVAILABLE",
    "not ended": "REFUSED",
    "no url": "REFUSED",
}


async def again(client: httpx.AsyncClient, id_: str = BATCH) -> Any:
    """What comes of asking for a batch's callback again."""
    answer = await client.post("/graphql", json={"query": DOCUMENT, "variables": {"id": id_}})
    assert "errors" not in answer.json(), answer.json()
    return answer.json()["data"]["redeliverCallback"]


async def refused(client: httpx.AsyncClient) -> str:
    """The code of the error that a viewer gets who may not ask."""
    answer = await client.post("/graphql", json={"query": DOCUMENT, "variables": {"id": BATCH}})
    (error,) = answer.json()["errors"]
    return str(error["extensions"]["code"])


@pytest.mark.parametrize("how", TAKEN)
async def test_what_the_platform_took_is_made_however_it_answers(
    database: Database, database_url: str, how: str
) -> None:
    await store(database, ended())
    async with (
        platform_over(database, lambda _: how) as platform,
        acting(database, database_url, platform.url) as client,
    ):
        told = await again(client)
    (seen,) = platform.seen
    assert told == {
        "__typename": "RedeliveryMade",
        "batchId": BATCH,
        "foundInRows": how not in {"made", "again"},
        "delivery": {
            "id": seen.delivery_id,
            "batchId": BATCH,
            "isAutomatic": False,
            "callbackUrl": "https://hooks.example/in?token=[masked]",
            "attempts": [],
        },
    }


@pytest.mark.parametrize("how", UNTAKEN)
async def test_what_nobody_knows_is_unknown_and_not_sent_again(database: Database, database_url: str, how: str) -> None:
    await store(database, ended())
    async with (
        platform_over(database, lambda _: how) as platform,
        acting(database, database_url, platform.url) as client,
    ):
        told = await again(client)
    assert (told["__typename"], told["batchId"]) == ("RedeliveryUnknown", BATCH)
    assert len(platform.seen) == (0 if how == "reset before" else 1)


@pytest.mark.parametrize("how", REFUSALS)
async def test_a_refusal_has_a_reason_and_the_platforms_words_without_secrets(
    database: Database, database_url: str, how: str
) -> None:
    await store(database, ended())
    async with (
        platform_over(database, lambda _: how) as platform,
        acting(database, database_url, platform.url) as client,
    ):
        told = await again(client)
    assert (told["__typename"], told["reason"]) == ("RedeliveryRefused", REASONS[how])
    assert told["message"] == f"{how}: Bearer [masked]"
    assert len(platform.seen) == 1


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        ({"callback_url": None}, "NO_CALLBACK_URL"),
        ({"completed_at": None, "status_code": "running"}, "NOT_ENDED"),
    ],
)
async def test_rows_say_what_the_platforms_422_means(
    database: Database, database_url: str, lacking: dict[str, Any], reason: str
) -> None:
    await store(database, ended())
    async with database.transaction() as connection:
        await connection.execute(update(batches).values(**lacking))
    async with (
        platform_over(database, lambda _: "not ended") as platform,
        acting(database, database_url, platform.url) as client,
    ):
        assert (await again(client))["reason"] == reason


async def test_one_in_flight_is_a_conflict(database: Database, database_url: str) -> None:
    await store(database, ended())
    async with platform_over(database) as platform, acting(database, database_url, platform.url) as client:
        assert (await again(client))["__typename"] == "RedeliveryMade"
        assert (await again(client))["reason"] == "CONFLICT"
    assert [request.delivery_id is None for request in platform.seen] == [False, True]


async def test_a_platform_that_is_not_there_was_sent_nothing(database: Database, database_url: str) -> None:
    await store(database, ended())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with acting(database, database_url, nowhere) as client:
        assert (await again(client))["reason"] == "PLATFORM_UNAVAILABLE"


async def test_without_a_platform_nothing_is_offered(database: Database, database_url: str) -> None:
    await store(database, ended())
    async with acting(database, database_url, None) as client:
        assert (await again(client))["reason"] == "NOT_OFFERED"


async def test_a_batch_of_another_organization_is_not_found_and_never_sent(
    database: Database, database_url: str
) -> None:
    await store(database, {batches: [batch(1), batch(9, THEIRS)]})
    async with platform_over(database) as platform:
        async with acting(database, database_url, platform.url) as client:
            assert (await again(client, identifier(0xBA, 9)))["reason"] == "BATCH_NOT_FOUND"
        async with acting(database, database_url, platform.url, organization=THEIRS) as client:
            assert (await again(client, identifier(0xBA, 9)))["__typename"] == "RedeliveryMade"
    assert [request.organization for request in platform.seen] == [THEIRS]


async def test_the_viewers_token_is_passed_on_or_the_gateways_own(database: Database, database_url: str) -> None:
    await store(database, ended())
    async with platform_over(database, lambda _: "bad request") as platform:
        async with acting(database, database_url, platform.url) as client:
            await again(client)
            key = client.headers["authorization"]
        async with acting(database, database_url, platform.url, platform_credential="of-the-gateway") as client:
            await again(client)
    assert [request.authorization for request in platform.seen] == [key, "Bearer of-the-gateway"]
    assert {request.organization for request in platform.seen} == {OURS}


async def test_it_takes_the_scope_that_the_settings_name(database: Database, database_url: str) -> None:
    await store(database, ended())
    async with platform_over(database) as platform:
        async with acting(database, database_url, platform.url, scopes=(READ,)) as client:
            assert await refused(client) == "PERMISSION_DENIED"
        async with acting(database, database_url, platform.url, scopes=(READ, "a:b"), platform_scope="a:b") as client:
            assert (await again(client))["__typename"] == "RedeliveryMade"
    assert len(platform.seen) == 1


async def test_get_asks_for_nothing(database: Database, database_url: str) -> None:
    await store(database, ended())
    async with platform_over(database) as platform, acting(database, database_url, platform.url) as client:
        answer = await client.get("/graphql", params={"query": DOCUMENT, "variables": json.dumps({"id": BATCH})})
        other = await client.post(
            "/graphql",
            json={"query": DOCUMENT, "variables": {"id": BATCH}},
            headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        )
    assert (answer.status_code, other.status_code, platform.seen) == (405, 403, [])


async def test_the_audit_log_says_who_and_what_and_no_secret(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await store(database, ended())
    caplog.set_level(logging.INFO, "audit")
    async with platform_over(database) as platform, acting(database, database_url, platform.url) as client:
        await again(client)
        key = client.headers["authorization"].removeprefix("Bearer ")
        metrics = (await client.get("/metrics")).text
    begun, done = audited(caplog)
    assert (begun["message"], done["message"]) == ("redelivery begun", "redelivery")
    assert (done["batch"], done["organization"], done["outcome"]) == (BATCH, OURS, "MADE")
    assert done["credential"] == begun["credential"]
    assert done["delivery"] == platform.seen[0].delivery_id
    assert key not in json.dumps([begun, done])
    assert 'gateway_redeliveries_total{outcome="MADE"} 1.0' in metrics


async def test_who_may_not_is_a_line_of_the_audit_log(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audit")
    async with acting(database, database_url, None, scopes=(READ,)) as client:
        await refused(client)
    (line,) = audited(caplog)
    assert (line["message"], line["outcome"]) == ("redelivery denied", "PERMISSION_DENIED")


async def test_nothing_is_written_by_the_gateway(database: Database, database_url: str) -> None:
    await store(database, ended())
    async with (
        platform_over(database, lambda _: "failed") as platform,
        acting(database, database_url, platform.url) as client,
    ):
        await again(client)
    assert len(await database.fetch(select(deliveries.c.id))) == 1


async def test_who_acts_for_another_may_only_read(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await store(database, ended())
    caplog.set_level(logging.INFO, "audit")
    issuer = Issuer()
    tokens: dict[str, Any] = {"jwt_public_key": issuer.pem, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    claims = {"org_id": OURS, "scope": f"{READ} {REDELIVER}"}
    async with (
        platform_over(database) as platform,
        acting(database, database_url, platform.url, **tokens) as client,
    ):
        client.headers["authorization"] = f"Bearer {issuer.token(**claims, act={'sub': 'support'})}"
        assert await refused(client) == "IMPERSONATION_READ_ONLY"
        over_rest = await client.post(f"/v1/batches/{BATCH}/callback-redeliveries")
        assert (over_rest.status_code, over_rest.json()["code"]) == (403, "IMPERSONATION_READ_ONLY")
        assert platform.seen == []
        client.headers["authorization"] = f"Bearer {issuer.token(**claims)}"
        assert (await again(client))["__typename"] == "RedeliveryMade"
    assert {line["outcome"] for line in audited(caplog) if line["message"] == "redelivery denied"} == {
        "IMPERSONATION_READ_ONLY"
    }


async def test_only_trusted_documents_ask_where_others_are_refused(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    manifest = tmp_path / "persisted.json"
    manifest.write_text("{}")
    trusted: dict[str, Any] = {"trusted_documents": manifest, "trusted_documents_only": True}
    async with (
        platform_over(database) as platform,
        acting(database, database_url, platform.url, **trusted) as client,
    ):
        assert await refused(client) == "DOCUMENT_NOT_TRUSTED"
    assert platform.seen == []


@pytest.mark.parametrize("face", ["graphql", "rest"])
async def test_a_client_that_leaves_stops_nothing(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture, face: str
) -> None:
    await store(database, ended())
    caplog.set_level(logging.INFO, "audit")
    async with platform_over(database) as platform:
        platform.go_on.clear()
        async with acting(database, database_url, platform.url, platform_answer_seconds=30) as client:
            work = client.post(f"/v1/batches/{BATCH}/callback-redeliveries") if face == "rest" else again(client)
            asking = asyncio.ensure_future(work)
            await platform.arrived.acquire()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            platform.go_on.set()
    assert [line["outcome"] for line in audited(caplog) if line["message"] == "redelivery"] == ["MADE"]


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines of the audit log."""
    return [json.loads(Json().format(record)) for record in caplog.records if record.name == "audit"]
