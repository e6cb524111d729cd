"""The edge holds for streams as for requests: who sees what, what it may cost, what operators see, and when it ends."""

import asyncio
import hashlib
import json
import logging
import socket
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.database.engine import Database
from gateway.database.tables import batches
from gateway.settings import Profile, Settings
from gateway.viewer import READ, READ_SECRETS
from gateway.writing.api_keys import create_key
from tests.support.issuer import AUDIENCE, ISSUER, Issuer
from tests.support.live import SECONDS, WATCH, access_lines, create, sse, websocket
from tests.support.rows import OURS, batch, store
from tests.support.serving import gateway_here

pytestmark = pytest.mark.anyio

URLS = "subscription { callbackDeliveries { node { callbackUrl } } }"
SECRET = "https://hooks.example/in?token=9f8a7b6c5d4e3f2a1b0c"


def quick(url: str, **more: Any) -> Settings:
    given: dict[str, Any] = {"watch_seconds": 0.05, "rate_limit": 0, "drain_seconds": 0, "metrics": True}
    return Settings(database_url=url, profile=Profile.PRODUCTION, **{**given, **more})


@pytest.fixture
async def key(database: Database) -> str:
    await store(database, {batches: [batch(1)]})
    return await create_key(database, OURS, "a watcher", [READ])


async def metrics(port: int) -> dict[str, float]:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


async def test_what_is_masked_in_lists_is_masked_in_events(database: Database, database_url: str, key: str) -> None:
    seer = await create_key(database, OURS, "a seer", [READ, READ_SECRETS])
    async with gateway_here(quick(database_url)) as port, sse(port, key, URLS) as masked, sse(port, seer, URLS) as seen:
        await create(database, OURS, 1, callback_url=SECRET)
        shown = [
            (await each.next())["data"]["data"]["callbackDeliveries"]["node"]["callbackUrl"] for each in (masked, seen)
        ]
    assert shown == [SECRET.replace("9f8a7b6c5d4e3f2a1b0c", "[masked]"), SECRET]


async def test_only_trusted_documents_are_watched(database_url: str, key: str, tmp_path: Path) -> None:
    manifest = tmp_path / "persisted.json"
    hash_ = hashlib.sha256(WATCH.encode()).hexdigest()
    manifest.write_text(json.dumps({hash_: WATCH}))
    settings = quick(database_url, trusted_documents=manifest, trusted_documents_only=True)
    async with gateway_here(settings) as port, websocket(port) as socket:
        await socket.begin(key)
        await socket.say(type="subscribe", id="1", payload={"documentId": f"sha256:{hash_}"})
        await socket.subscribe("2", URLS)
        heard = await socket.hear()
        assert (heard["id"], heard["payload"][0]["extensions"]["code"]) == ("2", "DOCUMENT_NOT_TRUSTED")
        async with sse(port, key, URLS) as refused:
            assert (await refused.next())["data"]["errors"][0]["extensions"]["code"] == "DOCUMENT_NOT_TRUSTED"


async def test_an_event_may_cost_so_much(database_url: str, key: str) -> None:
    wide = "subscription { callbackDeliveries { node { attempts(first: 500) { id } } } }"
    async with gateway_here(quick(database_url, max_cost=400)) as port:
        async with sse(port, key, wide) as refused:
            error = (await refused.next())["data"]["errors"][0]["extensions"]
            assert (error["code"], error["limit"]) == ("COST_LIMIT_EXCEEDED", 400)
        async with sse(port, key) as stream:
            assert stream.response.status_code == 200


@pytest.mark.usefixtures("key")
async def test_a_token_ends_its_stream_when_it_expires(database_url: str) -> None:
    issuer = Issuer()
    settings = quick(
        database_url,
        jwt_public_key=issuer.pem,
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_algorithms=("ES256",),
        jwt_leeway_seconds=0,
    )
    token = issuer.token(org_id=OURS, scope=READ, exp=timedelta(seconds=3))
    async with gateway_here(settings) as port, sse(port, token) as stream:
        ended = await stream.next()
        assert ended["data"]["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"
        assert (await stream.next())["event"] == "complete"


async def test_operators_see_streams_events_lag_and_one_line_for_each(
    database: Database,
    database_url: str,
    key: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "access")
    async with gateway_here(quick(database_url)) as port:
        async with sse(port, key) as stream:
            await create(database, OURS, 1)
            await stream.next()
            during = await metrics(port)
        async with asyncio.timeout(SECONDS):
            while (after := await metrics(port))['gateway_streams{transport="sse"}']:
                pass
    assert during['gateway_streams{transport="sse"}'] == 1
    assert during["gateway_watched_tables"] == 1
    assert after["gateway_watched_tables"] == 0
    assert after['gateway_stream_events_total{transport="sse"}'] == 1
    assert after["gateway_change_lag_seconds_count"] == 1
    lines = access_lines(capsys.readouterr().err)
    assert [(line["operation"], line["events"], line["status"], line["code"]) for line in lines] == [
        ("Watch", 1, 200, "OK")
    ]


async def test_who_wants_no_more_of_a_subscription_has_had_an_answer(
    database: Database,
    database_url: str,
    key: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "access")
    async with gateway_here(quick(database_url)) as port, websocket(port) as socket_:
        await socket_.begin(key)
        await socket_.subscribe("1")
        await socket_.say(type="ping")
        assert (await socket_.hear())["type"] == "pong"
        async with asyncio.timeout(SECONDS):
            while not (await metrics(port))["gateway_watched_tables"]:
                pass
        await create(database, OURS, 1)
        assert (await socket_.hear())["type"] == "next"
        await socket_.say(type="complete", id="1")
    (line,) = access_lines(capsys.readouterr().err)
    assert (line["method"], line["operation"], line["events"], line["code"]) == ("WEBSOCKET", "Watch", 1, "OK")


async def test_a_silent_stream_shows_that_it_lives(database_url: str, key: str) -> None:
    async with gateway_here(quick(database_url, heartbeat_seconds=0.1)) as port, sse(port, key) as stream:
        assert "id" in await stream.event()
        assert [await stream.event() for _ in range(2)] == [{"": ""}] * 2


async def test_a_client_that_does_not_read_is_dropped_with_a_code(
    database: Database, database_url: str, key: str
) -> None:
    document = "subscription { callbackDeliveries { node { payloadBytes } } }"
    body = json.dumps({"query": document})
    head = (
        *("POST /graphql HTTP/1.1", "Host: gateway", "Accept: text/event-stream", "Content-Type: application/json"),
        *(f"Authorization: Bearer {key}", f"Content-Length: {len(body)}", "", body),
    )
    async with gateway_here(quick(database_url, stream_backlog=1)) as port:
        with closing(socket.socket()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # so that little waits on the way
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=client, limit=1_024)
            writer.write("\r\n".join(head).encode())
            await reader.readuntil(b"id: ")
            for number in range(45):  # 9 MB: more than the kernel keeps for who does not read
                await create(database, OURS, number, payload_bytes=b"x" * 200_000)
            told = b""
            async with asyncio.timeout(SECONDS):
                while b"event: complete" not in told:
                    told = told[-1_000:] + await reader.read(1_000_000)
            writer.close()
    assert b'"code":"SUBSCRIBER_TOO_SLOW"' in told
