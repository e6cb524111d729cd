"""The floors: what a hand-written endpoint of the same server and the same language needs.

`Constant` answers one body whatever is asked. `Handwritten` answers the benchmark's documents, and nothing else, with
three statements on the driver's own connection.
"""

import base64
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import msgspec
from sqlalchemy import make_url
from starlette.types import Receive, Scope, Send

from tests.benchmark.rows import ORGANIZATION

TYPENAME = b'{"data":{"__typename":"Query"}}'
PAGE = 20

Ids = Sequence[Any]


class Constant:
    """A raw ASGI app that answers constant bytes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await _answer(send, TYPENAME)


class Attempt(msgspec.Struct, rename="camel", gc=False):
    """As the documents select it."""

    id: Any
    attempt_number: int
    status_code: int | None
    response_time_ms: int | None
    error_message: str | None


class Delivery(msgspec.Struct, rename="camel"):
    """As the documents select it."""

    id: Any
    status_code: str | None
    attempt_count: int | None
    callback_url: str | None
    created_at: Any
    attempts: list[Attempt] = msgspec.field(default_factory=list)


class Batch(msgspec.Struct, rename="camel"):
    """As the documents select it."""

    id: Any
    status_code: str | None
    created_at: Any
    completed_at: Any
    callback_deliveries: list[Delivery] = msgspec.field(default_factory=list)


class Variables(msgspec.Struct):
    """Of a request: they tell which document it is."""

    id: str | None = None
    after: str | None = None
    until: str | None = None


class Listed(msgspec.Struct, rename="camel"):
    """A delivery as the filtered list selects it."""

    id: Any
    status_code: str | None
    attempt_count: int | None
    callback_url: str | None
    created_at: Any


class Asked(msgspec.Struct):
    """The body of a request."""

    variables: Variables


class Driver(Protocol):
    """Statements on a driver's own connection. Times come as they are to be written."""

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """End all connections."""

    async def batch(self, id_: str) -> Sequence[Any]:
        """One batch's row, or none."""
        ...

    async def batches(self, time: str, id_: str) -> Sequence[Any]:
        """The rows behind a position, one more than a page has."""
        ...

    async def deliveries(self, batches: Ids) -> Sequence[Any]:
        """The rows of these batches, each with its batch first."""
        ...

    async def deliveries_until(self, time: str) -> Sequence[Any]:
        """The newest rows before a time, one more than a page has."""
        ...

    async def attempts(self, deliveries: Ids) -> Sequence[Any]:
        """The rows of these deliveries, each with its delivery first."""
        ...


BATCH = "SELECT id, status_code, created_at, completed_at FROM batches WHERE "
DELIVERIES = "SELECT batch_id, id, status_code, attempt_count, callback_url, created_at FROM batch_callback_deliveries"
LISTED = "SELECT id, status_code, attempt_count, callback_url, created_at FROM batch_callback_deliveries WHERE"
ATTEMPTS = (
    "SELECT delivery_id, id, attempt_number, status_code, response_time_ms, error_message "
    "FROM batch_callback_delivery_attempts"
)


class Postgresql:
    """asyncpg, which prepares each statement once a connection."""

    pool: Any

    def __init__(self, url: str) -> None:
        self.url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    async def open(self) -> None:
        """Connect."""
        self.pool = await asyncpg.create_pool(self.url)

    async def close(self) -> None:
        """End all connections."""
        await self.pool.close()

    async def batch(self, id_: str) -> Sequence[Any]:
        """One batch's row, or none."""
        return await self._rows(f"{BATCH} id = $1 AND org_id = $2", id_, ORGANIZATION)

    async def batches(self, time: str, id_: str) -> Sequence[Any]:
        """The rows behind a position."""
        return await self._rows(
            f"{BATCH} org_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT {PAGE + 1}",
            ORGANIZATION,
            datetime.fromisoformat(time),
            id_,
        )

    async def deliveries(self, batches: Ids) -> Sequence[Any]:
        """The rows of these batches."""
        return await self._rows(f"{DELIVERIES} WHERE batch_id = ANY ($1) ORDER BY created_at, id", batches)

    async def deliveries_until(self, time: str) -> Sequence[Any]:
        """The newest rows before a time."""
        return await self._rows(
            f"{LISTED} org_id = $1 AND created_at < $2 ORDER BY created_at DESC, id DESC LIMIT {PAGE + 1}",
            ORGANIZATION,
            datetime.fromisoformat(time),
        )

    async def attempts(self, deliveries: Ids) -> Sequence[Any]:
        """The rows of these deliveries."""
        return await self._rows(f"{ATTEMPTS} WHERE delivery_id = ANY ($1) ORDER BY attempt_number, id", deliveries)

    async def _rows(self, statement: str, *values: Any) -> Sequence[Any]:
        async with self.pool.acquire() as connection:
            rows: Sequence[Any] = await connection.fetch(statement, *values)
            return rows


class Sqlite:
    """sqlite3 in the event loop."""

    file: sqlite3.Connection

    def __init__(self, url: str) -> None:
        self.path = make_url(url).database or ""

    async def open(self) -> None:
        """Connect."""
        self.file = sqlite3.connect(self.path, isolation_level=None)

    async def close(self) -> None:
        """End the connection."""
        self.file.close()

    async def batch(self, id_: str) -> Sequence[Any]:
        """One batch's row, or none."""
        return self._shown(f"{BATCH} id = ? AND org_id = ?", id_, ORGANIZATION)

    async def batches(self, time: str, id_: str) -> Sequence[Any]:
        """The rows behind a position."""
        return self._shown(
            f"{BATCH} org_id = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT {PAGE + 1}",
            ORGANIZATION,
            _stored(time),
            id_,
        )

    async def deliveries(self, batches: Ids) -> Sequence[Any]:
        """The rows of these batches."""
        rows = self._of(f"{DELIVERIES} WHERE batch_id IN", batches, "created_at, id")
        return [(*row[:5], _shown(row[5])) for row in rows]

    async def deliveries_until(self, time: str) -> Sequence[Any]:
        """The newest rows before a time."""
        statement = f"{LISTED} org_id = ? AND created_at < ? ORDER BY created_at DESC, id DESC LIMIT {PAGE + 1}"
        rows = self.file.execute(statement, (ORGANIZATION, _stored(time))).fetchall()
        return [(*row[:4], _shown(row[4])) for row in rows]

    async def attempts(self, deliveries: Ids) -> Sequence[Any]:
        """The rows of these deliveries."""
        return self._of(f"{ATTEMPTS} WHERE delivery_id IN", deliveries, "attempt_number, id")

    def _shown(self, statement: str, *values: str) -> Sequence[Any]:
        rows = self.file.execute(statement, values).fetchall()
        return [(id_, status, _shown(created), _shown(completed)) for id_, status, created, completed in rows]

    def _of(self, statement: str, parents: Ids, order: str) -> Sequence[Any]:
        ids = msgspec.json.encode(parents).decode()
        return self.file.execute(f"{statement} (SELECT value FROM json_each(?)) ORDER BY {order}", (ids,)).fetchall()


def _stored(time: str) -> str:
    return datetime.fromisoformat(time).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _shown(stored: str) -> str:
    return stored.replace(".000000Z", "Z")


class Handwritten:
    """A raw ASGI app: three statements, msgspec."""

    def __init__(self, url: str) -> None:
        self.driver: Driver = Sqlite(url) if url.startswith("sqlite") else Postgresql(url)
        self.encode = msgspec.json.Encoder().encode
        self.decode = msgspec.json.Decoder(Asked).decode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.driver.open()
            await _live(receive, send)
            await self.driver.close()
            return
        body = (await receive())["body"]
        asked = self.decode(body).variables
        if asked.until is not None:
            rows = await self.driver.deliveries_until(asked.until)
            page_info = {"hasNextPage": len(rows) > PAGE}
            data: dict[str, Any] = {
                "callbackDeliveries": {"nodes": [Listed(*row) for row in rows[:PAGE]], "pageInfo": page_info}
            }
        elif asked.after is not None:
            data = {"batches": await self.page(asked.after)}
        else:
            found = await self.filled(await self.driver.batch(asked.id or ""))
            data = {"batch": found[0] if found else None}
        await _answer(send, self.encode({"data": data}))

    async def page(self, after: str) -> dict[str, Any]:
        """The connection behind a cursor."""
        version, binding, time, id_ = msgspec.json.decode(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        rows = await self.driver.batches(time, id_)
        nodes = await self.filled(rows[:PAGE])
        last = nodes[-1]
        end = last.created_at if isinstance(last.created_at, datetime) else datetime.fromisoformat(last.created_at)
        cursor = base64.urlsafe_b64encode(self.encode([version, binding, end.isoformat(), last.id])).rstrip(b"=")
        return {"nodes": nodes, "pageInfo": {"hasNextPage": len(rows) > PAGE, "endCursor": cursor.decode()}}

    async def filled(self, rows: Sequence[Any]) -> list[Batch]:
        """Batches with all that is below them."""
        batches = {row[0]: Batch(*row) for row in rows}
        deliveries: dict[Any, Delivery] = {}
        for batch_id, *values in await self.driver.deliveries(list(batches)):
            deliveries[values[0]] = delivery = Delivery(*values)
            batches[batch_id].callback_deliveries.append(delivery)
        for delivery_id, *values in await self.driver.attempts(list(deliveries)):
            deliveries[delivery_id].attempts.append(Attempt(*values))
        return list(batches.values())


async def _live(receive: Receive, send: Send) -> None:
    """Start and stop as uvicorn says."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
