"""Streams of answers, and writes that go on without their client: over a real server, on fields of this test's own."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import strawberry
from sqlalchemy import select, update
from starlette.types import Receive, Scope, Send

from gateway.database.engine import Database
from gateway.database.tables import organizations
from gateway.errors import SubscriberTooSlow
from gateway.execution.documents import Documents
from gateway.http.credentials import Credentials
from gateway.http.event_stream import EventStream
from gateway.http.graphql import GraphQL
from gateway.http.middleware import RequestRecorder
from gateway.http.streams import STUCK_SECONDS, Caller, Streams
from gateway.observability.record import RequestRecord
from gateway.observability.recorder import Recorder
from gateway.reading.questions import OrganizationOf
from gateway.schema.context import Info
from gateway.settings import HttpSettings, ObservabilitySettings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.rows import OURS
from tests.support.serving import serving_here

pytestmark = pytest.mark.anyio

WRITE = "batches:write"
EVENTS = {"Accept": "text/event-stream"}


@dataclass
class Seen:
    """What the fields of the schema went through, and what lets them go on."""

    closed: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    records: list[RequestRecord] = field(default_factory=list)


def schema_of(seen: Seen) -> strawberry.Schema:
    """Counting without end or to a number, and a mutation that waits half-way."""

    @strawberry.type
    class Query:
        @strawberry.field
        def ok(self) -> str:
            return "ok"

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        async def rename(self, info: Info, name: str) -> str:
            database = info.context.writable(WRITE)
            seen.begun.set()
            await seen.go_on.wait()
            async with database.transaction() as connection:
                await connection.execute(update(organizations).values(name=name))
            row = await info.context.reader.load(OrganizationOf())
            return str(row.name if row else None)

    @strawberry.type
    class Subscription:
        @strawberry.subscription
        async def count(self, to: int = 1_000_000) -> AsyncGenerator[int, None]:
            try:
                for number in range(to):
                    yield number
                    await asyncio.sleep(0)
            finally:
                seen.closed.set()

        @strawberry.subscription
        async def fail(self) -> AsyncGenerator[int, None]:
            yield 1
            raise RuntimeError("postgresql://app:secret@db")

    return strawberry.Schema(Query, Mutation, Subscription)


class Kept(Recorder):
    """A recorder that keeps the records."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(ObservabilitySettings(access_log=False, slow_seconds=60))
        self.seen = seen

    def end(self, record: RequestRecord) -> None:
        super().end(record)
        self.seen.records.append(record)


@dataclass
class Scene:
    """A gateway with that schema on one event loop, over a database with a key."""

    seen: Seen
    endpoint: GraphQL
    app: RequestRecorder
    key: str
    database: Database

    @contextmanager
    def client(self) -> Iterator[httpx.AsyncClient]:
        yield httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://gateway",
            headers={"Authorization": f"Bearer {self.key}"},
        )


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    key = await create_key(database, OURS, "a client", [READ, WRITE])
    seen = Seen()
    settings = HttpSettings(deadline_seconds=5, rate_limit=0)
    documents = Documents(schema_of(seen)._schema)
    endpoint = GraphQL(documents, database, Credentials(database), settings)
    yield Scene(seen, endpoint, RequestRecorder(endpoint, Kept(seen), settings), key, database)
    seen.go_on.set()
    await endpoint.writes.finish()


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, each by its name with the data in it."""
    found = []
    beginning, *rest = text.split("\n\n")[:-1]
    assert beginning == ":"  # a comment, so that the head is sent
    for event in rest:
        lines = dict(line.split(":", 1) for line in event.split("\n"))
        found.append((lines["event"].strip(), json.loads(lines["data"]) if lines["data"].strip() else None))
    return found


async def post(client: httpx.AsyncClient, query: str, **headers: str) -> httpx.Response:
    return await client.post("/graphql", json={"query": query}, headers=headers or EVENTS)


async def test_a_subscription_is_a_stream_of_answers(scene: Scene) -> None:
    with scene.client() as client:
        answer = await post(client, "subscription Counting { count(to: 3) }")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert events(answer.text) == [*(("next", {"data": {"count": n}}) for n in range(3)), ("complete", None)]
    (record,) = scene.seen.records
    assert (record.kind, record.operation, record.events, record.status) == ("subscription", "Counting", 3, 200)
    assert record.bytes == len(answer.content)


async def test_a_failure_ends_a_stream_and_tells_nothing(scene: Scene) -> None:
    with scene.client() as client:
        answer = await post(client, "subscription { fail }")
    (first, second, end) = events(answer.text)
    assert (first, end) == (("next", {"data": {"fail": 1}}), ("complete", None))
    assert second[1]["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    assert "secret" not in answer.text


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/json, text/event-stream;q=0"])
async def test_a_subscription_needs_a_client_that_takes_events(scene: Scene, accept: str) -> None:
    with scene.client() as client:
        answer = await post(client, "subscription { count }", Accept=accept)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (406, "NOT_ACCEPTABLE")


async def test_a_subscription_that_does_not_fit_is_refused_as_the_client_takes_it(scene: Scene) -> None:
    with scene.client() as client:
        stream = await post(client, "subscription { count(to: true) }")
        answer = await post(client, "subscription { count(to: true) }", Accept="text/event-stream, application/json")
    (refused, end) = events(stream.text)
    assert refused[1] == answer.json()
    assert end == ("complete", None)
    assert answer.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        ("text/event-stream", True),
        ("application/json, text/event-stream", False),
        ("text/event-stream, application/graphql-response+json, application/json;q=0.9", False),
    ],
)
async def test_a_query_is_a_stream_only_where_nothing_else_is_taken(
    scene: Scene, accept: str, *, is_stream: bool
) -> None:
    with scene.client() as client:
        answer = await post(client, "{ ok }", Accept=accept)
    if is_stream:
        assert events(answer.text) == [("next", {"data": {"ok": "ok"}}), ("complete", None)]
    else:
        assert answer.json() == {"data": {"ok": "ok"}}


async def test_a_client_that_hangs_up_closes_the_stream(scene: Scene) -> None:
    body = json.dumps({"query": "subscription { count }"})
    head = (
        *("POST /graphql HTTP/1.1", "Host: gateway", "Accept: text/event-stream", "Content-Type: application/json"),
        *(f"Authorization: Bearer {scene.key}", f"Content-Length: {len(body)}", "", body),
    )
    async with serving_here(scene.app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("\r\n".join(head).encode())
        await reader.readuntil(b'"count":7}')
        writer.close()
        await asyncio.wait_for(scene.seen.closed.wait(), 5)


async def test_a_write_goes_on_when_its_client_hangs_up(scene: Scene) -> None:
    body = json.dumps({"query": 'mutation { rename(name: "new") }'}).encode()
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await scene.seen.begun.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        raise AssertionError("nobody is there")

    headers = [(b"authorization", f"Bearer {scene.key}".encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "headers": headers}
    await scene.app(scope, receive, send)  # returns, as the client has gone
    assert await _name(scene.database) != "new"
    scene.seen.go_on.set()
    await scene.endpoint.writes.finish()
    assert await _name(scene.database) == "new"


async def test_a_mutation_reads_what_it_has_written(scene: Scene) -> None:
    scene.seen.go_on.set()
    with scene.client() as client:
        answer = await post(client, 'mutation { rename(name: "newer") }', Accept="application/json")
    assert answer.json() == {"data": {"rename": "newer"}}


async def test_a_mutation_needs_the_scope_of_its_field(scene: Scene) -> None:
    scene.key = await create_key(scene.database, OURS, "a reader", [READ])
    with scene.client() as client:
        answer = await post(client, 'mutation { rename(name: "newest") }', Accept="application/json")
    assert answer.json()["errors"][0]["extensions"]["code"] == "PERMISSION_DENIED"


async def test_answers_are_closed_where_the_head_cannot_be_sent() -> None:
    closed = asyncio.Event()

    async def answers() -> AsyncGenerator[Any]:
        try:
            yield None
        finally:
            closed.set()

    async def silence() -> Any:
        await asyncio.Event().wait()

    async def refuse(_: Any) -> None:
        raise OSError("gone")

    made = answers()
    await anext(made)
    with suppress(OSError):
        receive: Receive = silence
        sends: Send = refuse
        scope: Scope = {}
        await EventStream(made, lambda _: b"")(scope, receive, sends)
    assert closed.is_set()


async def _name(database: Database) -> str:
    return str((await database.fetch(select(organizations.c.name)))[0][0])


async def test_a_stream_is_stuck_by_how_long_it_sends_not_by_how_long_it_was_idle(database: Database) -> None:
    streams = Streams(Credentials(database))
    stream = streams.open(Caller("", None, None, "nobody"), "websocket")
    stream.since -= 2 * STUCK_SECONDS
    stream.sending()
    await streams.check()
    assert not stream.is_ended
    stream.since -= 2 * STUCK_SECONDS
    stream.sending()  # a second sender does not make it young again
    await streams.check()
    with pytest.raises(asyncio.CancelledError):  # the task that runs the stream is this one
        await asyncio.sleep(0)
    assert stream.ended()
    assert isinstance(stream.reason, SubscriberTooSlow)
    streams.close(stream)
