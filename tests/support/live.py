"""Watching in tests: rows that change, and clients of each transport that show what they are told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import insert, update
from websockets.asyncio.client import ClientConnection, connect

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from tests.support.rows import attempt, batch, delivery

SECONDS = 30  # that a test waits for what must come
SUBPROTOCOL: Any = "graphql-transport-ws"
WATCH = """subscription Watch($filter: CallbackDeliveryFilter, $after: String) {
  callbackDeliveries(filter: $filter, after: $after) { cursor change changedAt node { id statusCode } }
}"""


def now() -> datetime:
    """The time, as a platform writes it down."""
    return datetime.now(UTC)


async def create(database: Database, organization: str, number: int, **values: Any) -> dict[str, Any]:
    """Write a delivery that is in flight since now, of a batch of its own: one has no two of them."""
    at, of = now(), batch(1000 + number, organization)
    row = {**delivery(of, number), "created_at": at, "updated_at": at, "completed_at": None, **values}
    async with database.transaction() as connection:
        await connection.execute(insert(batches).values(of))
        await connection.execute(insert(batch_callback_deliveries).values(row))
    return row


async def change(database: Database, row: dict[str, Any], **values: Any) -> None:
    """Change a delivery now."""
    table = batch_callback_deliveries
    given = {"updated_at": now(), **values}
    async with database.transaction() as connection:
        await connection.execute(update(table).where(table.c.id == row["id"]).values(given))


async def add_attempt(database: Database, of: dict[str, Any], number: int, **values: Any) -> dict[str, Any]:
    """Write an attempt that was made now."""
    row = {**attempt(of, number), "created_at": now(), **values}
    async with database.transaction() as connection:
        await connection.execute(insert(batch_callback_delivery_attempts).values(row))
    return row


def access_lines(stderr: str) -> list[dict[str, Any]]:
    """The lines about GraphQL requests in what was written to stderr; the last ones come when the gateway stops."""
    lines = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    return [line for line in lines if line["logger"] == "access" and line["path"] == "/graphql"]


@dataclass
class Told:
    """What an event stream says: its head, and its events, which `next` waits for."""

    response: httpx.Response
    lines: AsyncIterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.response.aiter_lines()

    async def event(self) -> dict[str, Any]:
        """The next event: its fields by their names. Comments are signs of life, under the name of nothing."""
        fields: dict[str, Any] = {}
        async with asyncio.timeout(SECONDS):
            async for line in self.lines:
                if not line:
                    return fields
                name, _, value = line.partition(":")
                fields[name] = value.strip()
        return {"event": "cut"}

    async def next(self) -> dict[str, Any]:
        """The next event that is neither a sign of life nor the beginning; the data of a `next` is read."""
        while True:
            event = await self.event()
            if event != {"": ""} and event.keys() != {"id"}:
                return {**event, "data": json.loads(event["data"])} if event.get("data") else event


@asynccontextmanager
async def sse(port: int, key: str, query: str = WATCH, **more: Any) -> AsyncIterator[Told]:
    """A stream of server-sent events; it has begun."""
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", **more.pop("headers", {})}
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS, headers=headers) as client,
        client.stream("POST", "/graphql", json={"query": query, "variables": more}) as response,
    ):
        yield Told(response)


class Socket:
    """A WebSocket: what is sent and what comes, as objects."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, **message: Any) -> None:
        """Send a message."""
        await self.connection.send(json.dumps(message))

    async def hear(self) -> Any:
        """The next message."""
        async with asyncio.timeout(SECONDS):
            return json.loads(await self.connection.recv())

    async def begin(self, key: str | None) -> None:
        """Say who it is, and be let in."""
        await self.say(type="connection_init", payload={"Authorization": f"Bearer {key}"} if key else {})
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, id_: str, query: str = WATCH, **variables: Any) -> None:
        """Ask for an operation."""
        await self.say(type="subscribe", id=id_, payload={"query": query, "variables": variables})

    async def end(self) -> tuple[int | None, str | None]:
        """With which code and reason it is closed."""
        async with asyncio.timeout(SECONDS):
            await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def websocket(port: int, **options: Any) -> AsyncIterator[Socket]:
    """An open WebSocket on which nothing was said."""
    options.setdefault("subprotocols", [SUBPROTOCOL])
    async with connect(f"ws://127.0.0.1:{port}/graphql", **options) as connection:
        yield Socket(connection)
