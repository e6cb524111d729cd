"""Subscriptions over their transports, from a real server: what is told, to whom, and how a stream ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, update

from gateway.database.engine import Database
from gateway.database.tables import api_keys, batches
from gateway.settings import Profile, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.live import SECONDS, WATCH, add_attempt, change, create, sse, websocket
from tests.support.rows import OURS, START, THEIRS, batch, store
from tests.support.serving import gateway_here

pytestmark = pytest.mark.anyio

ATTEMPTS = "subscription { callbackAttempts { change node { attemptNumber delivery { id } } } }"
ONE = "subscription One($id: ID!) { callbackDelivery(id: $id) { change node { id statusCode attempts { id } } } }"


@dataclass
class Scene:
    """A gateway that looks twenty times a second, over a database of two organizations."""

    port: int
    database: Database
    settings: Settings
    key: str


def quick(url: str, **more: Any) -> Settings:
    """Settings under which nobody waits long."""
    given: dict[str, Any] = {"watch_seconds": 0.05, "rate_limit": 0, "access_log": True, "drain_seconds": 0}
    return Settings(database_url=url, profile=Profile.PRODUCTION, **{**given, **more})


@pytest.fixture
async def scene(database: Database, database_url: str) -> AsyncIterator[Scene]:
    ours, theirs = batch(1), batch(2, THEIRS)
    await store(database, {batches: [ours, theirs]})
    key = await create_key(database, OURS, "a watcher", [READ])
    settings = quick(database_url)
    async with gateway_here(settings) as port:
        yield Scene(port, database, settings, key)


def told(event: dict[str, Any]) -> tuple[Any, ...]:
    """Of an event of `WATCH`: what happened, the delivery, how it stands."""
    (of,) = event["data"]["data"].values()
    return of["change"], of["node"]["id"], of["node"]["statusCode"]


async def test_a_delivery_is_told_when_it_is_created_changes_and_completes(scene: Scene) -> None:
    async with sse(scene.port, scene.key) as stream:
        row = await create(scene.database, OURS, 1, status_code="pending")
        first = await stream.next()
        assert told(first) == ("CREATED", row["id"], "pending")
        assert first["id"] == first["data"]["data"]["callbackDeliveries"]["cursor"]
        await change(scene.database, row, status_code="retrying", attempt_count=1)
        assert told(await stream.next()) == ("CHANGED", row["id"], "retrying")
        at = row["created_at"].replace(year=2030)
        await change(scene.database, row, status_code="delivered", completed_at=at, updated_at=at)
        assert told(await stream.next()) == ("COMPLETED", row["id"], "delivered")
    headers = stream.response.headers
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers


async def test_a_filter_and_a_tenant_keep_what_is_theirs(scene: Scene) -> None:
    wanted = {"statusCode": {"eq": "failed"}}
    async with sse(scene.port, scene.key, filter=wanted) as stream:
        await create(scene.database, THEIRS, 1, status_code="failed")
        await create(scene.database, OURS, 2, status_code="pending")
        row = await create(scene.database, OURS, 3, status_code="failed")
        assert told(await stream.next()) == ("CREATED", row["id"], "failed")


async def test_attempts_and_one_delivery_can_be_watched(scene: Scene) -> None:
    row = await create(scene.database, OURS, 1)
    async with sse(scene.port, scene.key, ATTEMPTS) as attempts, sse(scene.port, scene.key, ONE, id=row["id"]) as one:
        await create(scene.database, OURS, 2)
        made = await add_attempt(scene.database, row, 1)
        await change(scene.database, row, status_code="retrying", attempt_count=1)
        (event,) = (await attempts.next())["data"]["data"].values()
        assert event == {"change": "CREATED", "node": {"attemptNumber": 1, "delivery": {"id": row["id"]}}}
        (event,) = (await one.next())["data"]["data"].values()
        node = {"id": row["id"], "statusCode": "retrying", "attempts": [{"id": made["id"]}]}
        assert event == {"change": "CHANGED", "node": node}


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_stream_goes_on_exactly_behind_a_cursor(scene: Scene, *, by_header: bool) -> None:
    rows = []
    async with sse(scene.port, scene.key) as stream:
        for number in range(3):
            rows.append(await create(scene.database, OURS, number))
            cursor = (await stream.next())["id"]
    rows += [await create(scene.database, OURS, number) for number in range(3, 6)]
    resumed: dict[str, Any] = {"headers": {"Last-Event-ID": cursor}} if by_header else {"after": cursor}
    async with sse(scene.port, scene.key, **resumed) as stream:
        rows.append(await create(scene.database, OURS, 6))
        seen = [told(await stream.next())[1] for _ in range(4)]
    assert seen == [row["id"] for row in rows[3:]]


async def test_a_stream_that_is_cut_before_its_first_event_goes_on_where_it_began(scene: Scene) -> None:
    async with sse(scene.port, scene.key) as stream:
        begun = await stream.event()
        assert begun.keys() == {"id"}
    row = await create(scene.database, OURS, 1)
    for _ in range(2):
        async with sse(scene.port, scene.key, headers={"Last-Event-ID": begun["id"]}) as stream:
            assert told(await stream.next())[1] == row["id"]


@pytest.mark.parametrize("after", ["x", "AAAA", ""])
async def test_what_is_no_cursor_is_refused(scene: Scene, after: str) -> None:
    async with sse(scene.port, scene.key, after=after) as stream:
        refused = await stream.next()
        assert refused["data"]["errors"][0]["extensions"]["code"] == "BAD_CURSOR"
        assert (await stream.next())["event"] == "complete"


async def test_the_cursor_of_another_organization_is_refused(scene: Scene) -> None:
    async with sse(scene.port, scene.key) as stream:
        await create(scene.database, OURS, 1)
        cursor = (await stream.next())["id"]
    theirs = await create_key(scene.database, THEIRS, "another", [READ])
    async with sse(scene.port, theirs, after=cursor) as stream:
        assert (await stream.next())["data"]["errors"][0]["extensions"]["code"] == "BAD_CURSOR"


async def test_apollos_multipart_is_spoken(scene: Scene) -> None:
    accept = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
    headers = {"Authorization": f"Bearer {scene.key}", "Accept": accept}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{scene.port}", timeout=SECONDS, headers=headers) as client,
        client.stream("POST", "/graphql", json={"query": WATCH}) as response,
    ):
        assert response.headers["content-type"] == 'multipart/mixed;boundary="graphql";subscriptionSpec=1.0'
        row = await create(scene.database, OURS, 1, status_code="pending")
        text = ""
        async for part in response.aiter_text():
            text += part
            if text.count("--graphql") == 2:
                break
        one = await client.post("/graphql", json={"query": "{ viewer { scopes } }"})
    assert text.startswith("\r\n--graphql\r\nContent-Type: application/json\r\n\r\n")
    payload = json.loads(text.split("\r\n\r\n")[1].removesuffix("\r\n--graphql"))["payload"]
    assert payload["data"]["callbackDeliveries"]["node"]["id"] == row["id"]
    assert one.json() == {"data": {"viewer": {"scopes": [READ]}}}


async def test_a_websocket_carries_many_operations(scene: Scene) -> None:
    async with websocket(scene.port) as socket, sse(scene.port, scene.key) as stream:
        await socket.begin(scene.key)
        await socket.subscribe("all", after=(await stream.event())["id"])
        await socket.subscribe("query", "{ viewer { scopes } }")
        assert await socket.hear() == {
            "id": "query",
            "type": "next",
            "payload": {"data": {"viewer": {"scopes": [READ]}}},
        }
        assert await socket.hear() == {"id": "query", "type": "complete"}
        row = await create(scene.database, OURS, 1)
        heard = await socket.hear()
        assert (heard["id"], heard["type"]) == ("all", "next")
        assert heard["payload"]["data"]["callbackDeliveries"]["node"]["id"] == row["id"]
        await socket.say(type="complete", id="all")
        await socket.say(type="ping", payload={"x": 1})
        assert await socket.hear() == {"type": "pong", "payload": {"x": 1}}


async def test_streams_complete_when_the_gateway_stops_and_go_on_at_another(scene: Scene) -> None:
    other = scene.settings
    async with gateway_here(other) as port:
        stopped = asyncio.Event()

        async def until_complete() -> tuple[str, str]:
            async with sse(port, scene.key) as stream, websocket(port) as socket:
                await socket.begin(scene.key)
                await socket.subscribe("1", after=(await stream.event())["id"])
                await create(scene.database, OURS, 1)
                cursor = (await stream.next())["id"]
                assert (await socket.hear())["type"] == "next"
                stopped.set()
                assert (await stream.next())["event"] == "complete"
                assert await socket.hear() == {"id": "1", "type": "complete"}
                assert await socket.end() == (1001, "Going away")
                return cursor, "ended"

        watching = asyncio.create_task(until_complete())
        await asyncio.wait({watching, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
    cursor, _ = await watching
    row = await create(scene.database, OURS, 2)
    async with sse(scene.port, scene.key, after=cursor) as stream:
        assert told(await stream.next())[1] == row["id"]


async def test_a_revoked_key_ends_its_streams(scene: Scene, database_url: str) -> None:
    async with (
        gateway_here(quick(database_url, credential_cache_seconds=0)) as port,
        sse(port, scene.key) as stream,
        websocket(port) as socket,
    ):
        await socket.begin(scene.key)
        await socket.subscribe("1")
        async with scene.database.transaction() as connection:
            await connection.execute(update(api_keys).values(revoked_at=START))
        ended = await stream.next()
        assert ended["data"]["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"
        assert (await stream.next())["event"] == "complete"
        heard = await socket.hear()
        assert (heard["id"], heard["type"]) == ("1", "error")
        assert heard["payload"][0]["extensions"]["code"] == "UNAUTHORIZED"
        assert await socket.end() == (4403, "UNAUTHORIZED")


async def test_a_credential_has_so_many_streams(scene: Scene, database_url: str) -> None:
    async with gateway_here(quick(database_url, max_credential_streams=1)) as port, sse(port, scene.key):
        async with sse(port, scene.key) as second:
            assert second.response.status_code == 429
            refused = json.loads(await second.response.aread())
        extensions = refused["errors"][0]["extensions"]
        assert extensions == {"code": "STREAM_LIMIT_EXCEEDED", "limit": 1, "actual": 2}


async def test_a_deleted_row_is_told_as_nothing(scene: Scene) -> None:
    async with sse(scene.port, scene.key) as stream:
        async with scene.database.transaction() as connection:
            await connection.execute(delete(api_keys).where(api_keys.c.name == "nobody"))
        row = await create(scene.database, OURS, 1)
        assert told(await stream.next())[1] == row["id"]
