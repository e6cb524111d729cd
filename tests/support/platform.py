"""A platform for tests: a real HTTP server that takes redeliveries as the platform does, and misbehaves when told to.

What it takes it writes into the database that the gateway reads; `seen` is every request that it has
read, and `answers` what it has answered.
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.reading.contract import DeliveryDocument

RESET = struct.pack("ii", 1, 0)  # linger for no time: what is closed is not ended but reset
# What it answers without taking anything: the status and the code of its envelope, with the type of the first error.
REFUSALS: dict[str, tuple[int, str, str | None]] = {
    "conflict": (422, "VALIDATION_ERROR", "conflict"),
    "not ended": (422, "VALIDATION_ERROR", "batch_not_ended"),
    "no url": (422, "VALIDATION_ERROR", "callback_url_missing"),
    "bad request": (400, "BAD_REQUEST", None),
    "unauthorized": (401, "UNAUTHORIZED", None),
    "forbidden": (403, "PERMISSION_DENIED", None),
    "not found": (404, "BATCH_NOT_FOUND", None),
    "state": (409, "CONFLICT", None),
    "limited": (429, "RATE_LIMITED", None),
    "busy": (503, "UNAVAILABLE", None),
}
# What it does beside taking the request and answering it well; those of `TAKEN` have taken it.
TAKEN = ("made", "again", "slow", "reset after", "cut", "closed", "not json", "another", "bad gateway", "redirect")
UNTAKEN = ("reset before", "reset unread", "failed", "html busy", "timeout")


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that was read, and the delivery that was made of it, if any."""

    batch_id: str
    authorization: str | None
    organization: str | None
    delivery_id: str | None


class TestPlatform:
    """`behave` says what to do with the redelivery of a batch: a key of `REFUSALS`, or one of `TAKEN` and `UNTAKEN`.

    `at_once` is how many requests it had read and not yet answered at the most; those wait until `go_on` is set.
    """

    __test__ = False

    def __init__(self, database: Database, behave: Callable[[str], str] = lambda _: "made") -> None:
        self.behave = behave
        self.seen: list[SeenRequest] = []
        self.answers: list[tuple[int, bytes]] = []
        self.port = 0
        self.at_once = 0
        self.arrived = asyncio.Semaphore(0)
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._database = database
        self._writing = asyncio.Lock()  # SQLite has one writer at a time
        self._under_way = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def taken(self) -> list[str]:
        """The batches whose redelivery it took, in that order."""
        return [request.batch_id for request in self.seen if request.delivery_id is not None]

    async def take(self, batch_id: str, organization: str) -> dict[str, Any] | None:
        """Make a delivery of a batch; None where one is in flight."""
        now = datetime.now(UTC)
        row = {
            "id": str(uuid4()),
            "org_id": organization,
            "batch_id": batch_id,
            "callback_url": "https://hooks.example/in?token=hidden",
            "is_automatic": False,
            "status_code": "pending",
            "attempt_count": 0,
            "max_attempts": 5,
            "created_at": now,
            "next_attempt_at": now,
        }
        try:
            async with self._writing, self._database.transaction() as connection:
                await connection.execute(insert(deliveries), row)
        except IntegrityError:
            return None
        return row

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over a connection."""
        task = asyncio.ensure_future(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def close(self) -> None:
        """Hang up."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        assert method == "POST", method
        assert headers.get("content-length", "0") == "0"
        _, version, _, batch_id, what = path.split("/")
        assert (version, what) == ("v1", "callback-redeliveries")
        how = self.behave(batch_id)
        if how == "reset before":
            return _reset(writer)
        organization = headers.get("x-organization-id")
        made = await self.take(batch_id, organization or "") if how in TAKEN else None
        id_ = None if made is None else made["id"]
        self.seen.append(SeenRequest(batch_id, headers.get("authorization"), organization, id_))
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        self.arrived.release()
        try:
            await self.go_on.wait()
            return await self._respond("conflict" if how in TAKEN and made is None else how, made or {}, writer)
        finally:
            self._under_way -= 1

    async def _respond(  # noqa: PLR0911 - one line for each behaviour
        self, how: str, made: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        if how in REFUSALS:
            status, code, type_ = REFUSALS[how]
            errors = None if type_ is None else [{"type": type_, "loc": ["path", "batch_id"], "msg": how}]
            body = {"code": code, "message": f"{how}: Bearer sk_live_4f9a8c7b6d5e4f3a2b1c", "errors": errors}
            return await self._send(writer, status, json.dumps(body).encode())
        match how:
            case "reset unread" | "reset after":
                return _reset(writer)
            case "closed":
                return False
            case "slow":
                await asyncio.Event().wait()
            case "failed" | "bad gateway":
                return await self._send(writer, 500 if how == "failed" else 502, b"<html>oops</html>", "text/html")
            case "html busy":
                return await self._send(writer, 503, b"<html>busy</html>", "text/html")
            case "timeout":
                return await self._send(writer, 408, b"")
            case "redirect":
                return await self._send(writer, 307, b"", more="Location: /elsewhere\r\n")
            case "not json":
                return await self._send(writer, 200, b"<html>done</html>", "text/html")
        whole = document({**made, "batch_id": str(uuid4())} if how == "another" else made)
        if how == "cut":
            writer.write(f"HTTP/1.1 201 Created\r\nContent-Length: {len(whole)}\r\n\r\n".encode() + whole[:40])
            await writer.drain()
            return _reset(writer)
        return await self._send(writer, 200 if how == "again" else 201, whole)

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        body: bytes,
        media: str = "application/json",
        more: str = "",
    ) -> bool:
        phrase = HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {media}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        self.answers.append((status, body))
        writer.write(head.encode() + body)
        await writer.drain()
        return True


def document(row: dict[str, Any]) -> bytes:
    """A delivery as the platform answers it."""
    known = {name: value for name, value in row.items() if name in DeliveryDocument.model_fields}
    return DeliveryDocument.model_validate({**known, "attempts": []}).model_dump_json().encode()


def _reset(writer: asyncio.StreamWriter) -> bool:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
    return False


@asynccontextmanager
async def platform_over(
    database: Database, behave: Callable[[str], str] = lambda _: "made"
) -> AsyncIterator[TestPlatform]:
    """A platform over that database, on a free port of this event loop."""
    platform = TestPlatform(database, behave)
    server = await asyncio.start_server(platform.accept, "127.0.0.1", 0)
    platform.port = server.sockets[0].getsockname()[1]
    try:
        yield platform
    finally:
        server.close()
        await platform.close()
