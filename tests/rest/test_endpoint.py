"""The frozen endpoint answers what its twin answers, byte for byte, whatever is stored."""

import asyncio
import gc
import json
import logging
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from gateway.app import create_app
from gateway.database.engine import Database
from gateway.database.tables import batch_callback_deliveries, batch_callback_delivery_attempts, batches
from gateway.http.middleware import HEADERS
from gateway.reading.history import HISTORY_PAGE
from gateway.rest.endpoint import UsageReport
from gateway.settings import Settings
from gateway.viewer import READ, Viewer
from gateway.writing.api_keys import create_key, list_keys
from gateway.writing.demo import write_sample
from tests.support.rows import OURS, START, Rows, attempt, batch, delivery, history, identifier, store
from tests.support.serving import serving
from tests.support.twin import create_twin

KEY = "reader-key"
PAYLOAD = {
    "event": '"batch.succeeded"',
    "batch_id": '"7F3B0A52-9c1e-4f6d-8a57-2b9d1c0e4f11"',
    "status": '"succeeded"',
    "output": "null",
    "duration_ms": "null",
    "created_at": "null",
    "completed_at": "null",
    "metadata": "null",
}


def body(**texts: str) -> bytes:
    """A callback's body of the eight keys, each value as JSON text."""
    return ("{" + ",".join(f'"{key}":{text}' for key, text in {**PAYLOAD, **texts}.items()) + "}").encode()


Answers = tuple[httpx.Response, httpx.Response]
Ask = Callable[..., Awaitable[Answers]]


@pytest.fixture
async def ask(database: Database) -> AsyncIterator[Ask]:
    """Ask the gateway, with a key, and the twin for a batch's callbacks."""
    app = create_app(Settings(database_url=database.url.render_as_string(hide_password=False)))
    twin = create_twin(database.engine)

    async def answers(batch_id: str, key: str = KEY) -> Answers:
        path = f"/v1/batches/{batch_id}/callback"
        return await to_gateway.get(path, headers={"Authorization": f"Bearer {key}"}), await to_twin.get(path)

    async with app.router.lifespan_context(app), client_of(app) as to_gateway, client_of(twin) as to_twin:
        yield answers


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


def assert_same(answers: Answers) -> None:
    """The same body and, beside the headers that the gateway gives every answer, the same headers."""
    gateway, twin = answers
    assert gateway.status_code == twin.status_code == 200
    assert gateway.content == twin.content
    own = {"x-request-id", *(name.decode() for name, _ in HEADERS)}
    assert [header for header in gateway.headers.items() if header[0] not in own] == list(twin.headers.items())


async def stored_batch(database: Database, *bodies: bytes) -> str:
    """A batch with a delivery for each body, and a key that reads it."""
    of = batch(1)
    sent = [delivery(of, number, payload_bytes=body) for number, body in enumerate(bodies)]
    await store(database, {batches: [of], batch_callback_deliveries: sent})
    await create_key(database, OURS, "test", [READ], KEY)
    return str(of["id"])


ODD_BODIES = {
    "not JSON": b"<html>",
    "empty": b"",
    "no UTF-8": body(output='{"a":"@"}').replace(b"@", b"\xff\xc3"),
    "UTF-16": body().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "an array": b"[]",
    "a key too few": body().replace(b',"metadata":null', b""),
    "a key too many": body(more="1"),
    "an unknown event": body(event='"batch.started"'),
    "a null that may not be": body(event="null"),
    "half a surrogate pair": body(output=r'{"a":"\ud800"}'),
    "an integer of 4,301 digits": body(duration_ms="9" * 4301),
    "nested too deeply": body(output='{"a":' + "[" * 5000 + "]" * 5000 + "}"),
    "a hundred thousand brackets": b"[" * 100_000,
    "a time that is none": body(created_at='"yesterday"'),
    "more after the end": body() + b"x",
    "a raw control character": body(output='{"a":"\x00"}'),
}

NUMBERS = {
    "1e22": "1e+22",
    "1E5": "100000.0",
    "-0.0": "-0.0",
    "1.10": "1.1",
    "1e-7": "1e-7",
    "1e400": "null",
    "NaN": "null",
    "-Infinity": "null",
    "123456789012345678901234567890": "123456789012345678901234567890",
    "9" * 4300: "9" * 4300,
}

SIGNED_TIMES = {
    "2026-05-06T10:00:00Z": "2026-05-06T10:00:00+00:00",
    "2026-05-06T10:00:00+00:00": "2026-05-06T10:00:00+00:00",
    "2026-05-06T12:00:00.5+02:00": "2026-05-06T12:00:00.500000+02:00",
    "2026-05-06T10:00:00": "2026-05-06T10:00:00",
    "2026-05-06T10:00:00.123456789-23:59": "2026-05-06T10:00:00.123456-23:59",
}


@pytest.mark.parametrize("stored", ODD_BODIES.values(), ids=ODD_BODIES.keys())
async def test_body_that_cannot_be_read_is_echoed_without_payload(
    database: Database, ask: Ask, stored: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answers = await ask(await stored_batch(database, stored, body()))
    assert_same(answers)
    odd, fine = answers[0].json()
    assert (odd["payload"], odd["payload_bytes"]) == (None, stored.decode(errors="replace"))
    assert fine["payload"]["status"] == "succeeded"
    assert [record.levelname for record in caplog.records if record.name == "gateway.reading.payload"] == ["WARNING"]


@pytest.mark.parametrize(("stored", "served"), NUMBERS.items(), ids=[number[:40] for number in NUMBERS])
async def test_numbers_in_a_payload_are_printed_as_the_twin_prints_them(
    database: Database, ask: Ask, stored: str, served: str
) -> None:
    answers = await ask(await stored_batch(database, body(output=f'{{"n":{stored}}}')))
    assert_same(answers)
    assert f'"output":{{"n":{served}}}'.encode() in answers[0].content


@pytest.mark.parametrize(("stored", "served"), SIGNED_TIMES.items())
async def test_times_in_a_payload_keep_the_form_of_the_signed_body(
    database: Database, ask: Ask, stored: str, served: str
) -> None:
    answers = await ask(await stored_batch(database, body(created_at=f'"{stored}"')))
    assert_same(answers)
    assert answers[0].json()[0]["payload"] == {
        "event": "batch.succeeded",
        "batch_id": "7f3b0a52-9c1e-4f6d-8a57-2b9d1c0e4f11",
        "status": "succeeded",
        "output": None,
        "duration_ms": None,
        "created_at": served,
        "completed_at": None,
        "metadata": None,
    }


async def test_of_a_key_that_stands_twice_the_last_value_counts(database: Database, ask: Ask) -> None:
    stored = body(output='{"b":1,"a":2,"b":3}')[:-1] + b',"duration_ms":7}'
    answers = await ask(await stored_batch(database, stored))
    assert_same(answers)
    assert b'"output":{"b":3,"a":2},"duration_ms":7,' in answers[0].content


async def test_two_hundred_levels_are_read_and_served(database: Database, ask: Ask) -> None:
    nested = "[" * 198 + "]" * 198
    answers = await ask(await stored_batch(database, body(output=f'{{"a":{nested}}}')))
    assert_same(answers)
    assert f'"output":{{"a":{nested}}}'.encode() in answers[0].content


async def test_delivery_of_nothing_but_nulls_has_every_key(database: Database, ask: Ask) -> None:
    of = batch(1)
    sent = {**delivery(of, 1), "completed_at": None}
    await store(
        database,
        {
            batches: [of],
            batch_callback_deliveries: [sent],
            batch_callback_delivery_attempts: [attempt(sent, 1)],
        },
    )
    await create_key(database, OURS, "test", [READ], KEY)
    answers = await ask(of["id"])
    assert_same(answers)
    assert answers[0].json() == [
        {
            "id": sent["id"],
            "batch_id": of["id"],
            "callback_url": None,
            "payload_bytes": None,
            "payload": None,
            "signing_secret_id": None,
            "is_automatic": None,
            "status_code": None,
            "failure_reason_code": None,
            "failure_detail": None,
            "attempt_count": None,
            "max_attempts": None,
            "next_attempt_at": None,
            "created_at": "2026-05-06T10:01:01Z",
            "updated_at": None,
            "completed_at": None,
            "attempts": [
                {
                    "id": attempt(sent, 1)["id"],
                    "delivery_id": sent["id"],
                    "attempt_number": 1,
                    "status_code": None,
                    "response_body": None,
                    "response_time_ms": None,
                    "error_message": None,
                    "created_at": "2026-05-06T10:01:02Z",
                }
            ],
        }
    ]


@pytest.mark.no_cover
async def test_every_batch_of_the_sample_is_served_as_the_twin_serves_it(database: Database, ask: Ask) -> None:
    sample = await write_sample(database, START)
    keys = {of: await create_key(database, of, "test", [READ]) for of in sample.organization_ids}
    rows = await database.fetch(select(batches.c.id, batches.c.org_id))
    assert len(rows) == sample.batches
    for row in rows:
        assert_same(await ask(row.id, keys[row.org_id]))


# What may be stored. PostgreSQL's texts hold no NUL; a body may hold anything.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
integers = st.integers(-(2**31), 2**31 - 1)
times = st.datetimes(timezones=st.just(UTC))
number_texts = st.sampled_from(
    [
        "0",
        "-0",
        "1.0",
        "-0.0",
        "1e22",
        "1E5",
        "1e400",
        "2e-320",
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "9" * 40,
        "1" * 4301,
    ]
) | (st.integers() | st.floats()).map(json.dumps)
leaf_texts = (
    number_texts
    | st.sampled_from(["null", "true", "false", r'"\ud800"', r'"\ud83d\ude00"', r'"\u0000\/"', "'", ""])
    | st.builds(json.dumps, st.text(max_size=8), ensure_ascii=st.booleans())
)


def object_text(pairs: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in pairs) + "}"


json_texts = st.recursive(
    leaf_texts,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: "[" + ",".join(items) + "]")
        | st.lists(st.tuples(st.sampled_from("aaé\n😀") | st.text(max_size=4), inner), max_size=4).map(object_text)
    ),
    max_leaves=8,
)
object_texts = st.lists(st.tuples(st.text(max_size=4), json_texts), max_size=3).map(object_text)
time_texts = (
    st.sampled_from(
        ['"2026-05-06T10:00:00"', '"2026-05-06"', "1700000000", "1e300", '"2026-05-06T10:00:00.1+02:00"', '""']
    )
    | times.map(lambda time: json.dumps(time.isoformat()))
    | st.datetimes(timezones=st.timezones()).map(lambda time: json.dumps(time.isoformat()))
)
nearly_bodies = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(['"batch.failed"', '"batch.cancelled"', '"batch.ended"', "null"]),
        "batch_id": st.uuids().map(str).map(json.dumps) | st.just('"x"'),
        "output": object_texts | json_texts,
        "duration_ms": number_texts | st.sampled_from(['"5"', "true", "1.5"]),
        "created_at": time_texts,
        "completed_at": time_texts,
        "metadata": object_texts,
        "unknown": json_texts,
    },
).map(lambda odd: body(**odd))
good_bodies = st.builds(
    lambda output, metadata, created_at: body(output=output, metadata=metadata, created_at=created_at),
    object_texts,
    object_texts,
    time_texts,
)
bodies = good_bodies | nearly_bodies | st.binary(max_size=40) | texts.map(str.encode) | object_texts.map(str.encode)
attempts_of_one = st.lists(
    st.fixed_dictionaries(
        {"attempt_number": st.integers(1, 3), "created_at": times},
        optional={
            "status_code": integers,
            "response_body": texts,
            "response_time_ms": integers,
            "error_message": texts,
        },
    ),
    max_size=3,
)
deliveries_of_one = st.lists(
    st.tuples(
        st.fixed_dictionaries(
            {"created_at": st.just(START) | times, "completed_at": times},
            optional={
                "callback_url": texts,
                "payload_bytes": bodies,
                "signing_secret_id": st.uuids().map(str),
                "is_automatic": st.booleans(),
                "status_code": texts,
                "failure_reason_code": texts,
                "failure_detail": texts,
                "attempt_count": integers,
                "max_attempts": integers,
                "next_attempt_at": times,
                "updated_at": times,
            },
        ),
        attempts_of_one,
    ),
    max_size=4,
)


@pytest.mark.no_cover
@given(stored=deliveries_of_one, in_flight=st.booleans())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_whatever_is_stored_is_served_as_the_twin_serves_it(
    database: Database, ask: Ask, stored: list[tuple[dict[str, Any], list[dict[str, Any]]]], in_flight: bool
) -> None:
    organization, batch_id, key = str(uuid4()), str(uuid4()), secrets.token_hex()
    made = {"org_id": organization, "created_at": START}
    rows: Rows = {
        batches: [{**made, "id": batch_id}],
        batch_callback_deliveries: [],
        batch_callback_delivery_attempts: [],
    }
    for sent, tries in stored:
        id_ = str(uuid4())
        rows[batch_callback_deliveries].append({**made, "id": id_, "batch_id": batch_id, **sent})
        rows[batch_callback_delivery_attempts] += [
            {**made, "id": str(uuid4()), "delivery_id": id_, **tried} for tried in tries
        ]
    if stored and in_flight:
        rows[batch_callback_deliveries][0]["completed_at"] = None
    await store(database, rows)
    await create_key(database, organization, "test", [READ], key)
    assert_same(await ask(batch_id, key))


@pytest.mark.parametrize("deliveries", [0, 1, HISTORY_PAGE - 1, HISTORY_PAGE, HISTORY_PAGE + 1, 2 * HISTORY_PAGE])
async def test_history_of_any_length_is_one_array(database: Database, ask: Ask, deliveries: int) -> None:
    await store(database, history(1, deliveries, attempts=2))
    await create_key(database, OURS, "test", [READ], KEY)
    gateway, twin = await ask(batch(1)["id"])
    assert gateway.content == twin.content
    assert gateway.headers["content-type"] == twin.headers["content-type"]
    assert ("content-length" in gateway.headers) == (deliveries < HISTORY_PAGE)


LONG_HISTORY = """
import asyncio, psutil, sys
from gateway.app import create_app
from gateway.settings import Settings

async def answer():
    sent, memory = 0, []
    async def receive():
        await asyncio.Event().wait()  # the client neither sends more nor hangs up
    async def send(message):
        nonlocal sent
        sent += len(message.get("body", b""))
        memory.append(psutil.Process().memory_info().rss)
    headers = [(b"authorization", b"Bearer reader-key")]
    scope = {"type": "http", "method": "GET", "path": sys.argv[2], "query_string": b"", "headers": headers}
    app = create_app(Settings(database_url=sys.argv[1]))
    async with app.router.lifespan_context(app):
        await app({**scope, "path": "/healthz"}, receive, send)
        sent, memory = 0, memory[:1]
        await app(scope, receive, send)
    print(sent, max(memory) - memory[0])

asyncio.run(answer())
"""


async def test_ten_thousand_deliveries_are_answered_whole_in_bounded_memory(
    database: Database, database_url: str
) -> None:
    rows = history(1, deliveries=10_000, attempts=5)
    for sent in rows[batch_callback_deliveries]:
        sent["payload_bytes"] = body(output=json.dumps({"text": "x" * 1000}))
    await store(database, rows)
    async with database.transaction() as connection:
        await connection.execute(text("ANALYZE"))  # as the server does by itself a while after so many rows came
    await create_key(database, OURS, "test", [READ], KEY)
    command = [sys.executable, "-c", LONG_HISTORY, database_url, f"/v1/batches/{batch(1)['id']}/callback"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    answered, grown = map(int, done.stdout.split())
    assert answered > 40_000_000
    assert grown < answered / 2


def test_history_that_breaks_off_is_not_taken_for_whole(database_url: str) -> None:
    async def prepare() -> None:
        database = Database(database_url)
        rows = history(1, deliveries=5 * HISTORY_PAGE, attempts=0)
        for sent in rows[batch_callback_deliveries]:
            sent["payload_bytes"] = b"x" * 100_000  # more than the sockets hold
        await store(database, rows)
        await create_key(database, OURS, "test", [READ], KEY)
        await database.close()

    async def rename(table: str, name: str) -> None:
        database = Database(database_url)
        async with database.transaction() as connection:
            await connection.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))
        await database.close()

    def rest_of(chunks: Iterator[bytes]) -> int:
        asyncio.run(rename("batch_callback_delivery_attempts", "elsewhere"))
        try:
            return sum(map(len, chunks))
        finally:
            asyncio.run(rename("elsewhere", "batch_callback_delivery_attempts"))

    asyncio.run(prepare())
    path, headers = f"/v1/batches/{batch(1)['id']}/callback", {"Authorization": f"Bearer {KEY}"}
    with (
        serving(create_app(Settings(database_url=database_url))) as address,
        httpx.Client(base_url=address) as client,
        client.stream("GET", path, headers=headers) as answer,
    ):
        chunks = answer.iter_raw()
        assert next(chunks).startswith(b'[{"id":')
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            rest_of(chunks)


async def test_use_of_the_endpoint_is_logged_once_a_credential(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.rest.endpoint")
    use = UsageReport()
    for credential in ("a-key", "another-key", "a-key"):
        use.count(Viewer(OURS, frozenset([READ]), credential))
    await use.report()
    await use.report()
    assert [record.getMessage() for record in caplog.records] == [
        "legacy endpoint used: credential=a-key requests=2",
        "legacy endpoint used: credential=another-key requests=1",
    ]


async def test_what_was_not_logged_yet_is_logged_when_the_gateway_stops(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.rest.endpoint")
    path = f"/v1/batches/{await stored_batch(database)}/callback"
    app = create_app(Settings(database_url=database.url.render_as_string(hide_password=False)))
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get(path, headers={"Authorization": f"Bearer {KEY}"})).json() == []
        (key,) = await list_keys(database)
    assert [record.getMessage() for record in caplog.records if record.name == "gateway.rest.endpoint"] == [
        f"legacy endpoint used: credential={key.id} requests=1"
    ]


@pytest.mark.parametrize("deliveries", [3, 2 * HISTORY_PAGE + 1], ids=["one page", "three pages"])
async def test_an_answer_leaves_nothing_behind_on_the_event_loop(database: Database, deliveries: int) -> None:
    """A generator that nobody closes makes the loop finish it in a task of its own, during another request."""
    await store(database, history(1, deliveries=deliveries, attempts=1))
    key = await create_key(database, OURS, "a client", [READ])
    closed: list[Any] = []
    hooks = sys.get_asyncgen_hooks()
    app = create_app(Settings(database_url=database.url.render_as_string(hide_password=False)))
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client,
    ):
        sys.set_asyncgen_hooks(finalizer=closed.append)
        try:
            for _ in range(3):
                answer = await client.get(f"/v1/batches/{identifier(0xBA, 1)}/callback")
                assert len(answer.json()) == deliveries
            gc.collect()
        finally:
            sys.set_asyncgen_hooks(*hooks)
    assert closed == []
