"""The rules of `graphql-transport-ws`, each by a client that keeps or breaks it, and the edge around them."""

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message
from uvicorn.protocols.utils import ClientDisconnected
from websockets.exceptions import InvalidStatus

from gateway.app import create_app
from gateway.http.websocket import SUBPROTOCOL
from gateway.settings import Profile, Settings
from gateway.viewer import READ
from tests.support.edge import BATCH, KEY, furnished
from tests.support.live import SECONDS, Socket, access_lines, websocket
from tests.support.serving import gateway_here

pytestmark = pytest.mark.anyio

QUERY = "{ viewer { scopes } }"
COUNT = "subscription { callbackDeliveries { cursor } }"
ANSWER = {"data": {"viewer": {"scopes": [READ]}}}


@pytest.fixture(scope="module")
def url(sqlite_template: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return furnished(sqlite_template, tmp_path_factory.mktemp("sockets"))


@pytest.fixture(scope="module")
async def port(url: str) -> AsyncIterator[int]:
    settings = Settings(
        database_url=url,
        profile=Profile.PRODUCTION,
        rate_limit=0,
        drain_seconds=0,
        websocket_init_seconds=0.2,
        max_body_bytes=10_000,
        trusted_origins=("https://app.example",),
    )
    async with gateway_here(settings) as port:
        yield port


@pytest.fixture
async def socket(port: int) -> AsyncIterator[Socket]:
    async with websocket(port) as socket:
        yield socket


@pytest.fixture
async def begun(socket: Socket) -> Socket:
    await socket.begin(KEY)
    return socket


async def test_another_subprotocol_is_not_acceptable(port: int) -> None:
    for spoken in (None, ["graphql-ws"]):
        async with websocket(port, subprotocols=spoken) as socket:
            assert await socket.end() == (4406, "Subprotocol not acceptable")


async def test_the_subprotocol_is_chosen_among_several(port: int) -> None:
    async with websocket(port, subprotocols=["graphql-ws", "graphql-transport-ws"]) as socket:
        assert socket.connection.subprotocol == "graphql-transport-ws"


async def test_who_does_not_begin_in_time_is_closed(socket: Socket) -> None:
    assert await socket.end() == (4408, "Connection initialisation timeout")


async def test_signs_of_life_alone_are_no_beginning(socket: Socket) -> None:
    await socket.say(type="pong")
    await socket.say(type="ping")
    assert await socket.hear() == {"type": "pong"}
    assert await socket.end() == (4408, "Connection initialisation timeout")


async def test_who_asks_before_it_began_is_closed(socket: Socket) -> None:
    await socket.subscribe("1", QUERY)
    assert await socket.end() == (4401, "Unauthorized")


async def test_beginning_twice_is_too_much(begun: Socket) -> None:
    await begun.say(type="connection_init")
    assert await begun.end() == (4429, "Too many initialisation requests")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, "UNAUTHORIZED"),
        ({}, "UNAUTHORIZED"),
        ({"authorization": "Bearer wrong"}, "UNAUTHORIZED"),
        ({"authorization": 7}, "UNAUTHORIZED"),
        ({"Authorization": f"Bearer {KEY}_nothing"}, "PERMISSION_DENIED"),
        ({"Authorization": f"Bearer {KEY}", "X-Organization-Id": "x"}, "BAD_REQUEST"),
        (
            {"Authorization": f"Bearer {KEY}", "x-organization-id": "0b000000-0000-4000-8000-000000000002"},
            "ORGANIZATION_MEMBERSHIP_REQUIRED",
        ),
    ],
)
async def test_whom_nobody_knows_is_forbidden(socket: Socket, payload: Any, code: str) -> None:
    await socket.say(type="connection_init", **({} if payload is None else {"payload": payload}))
    assert await socket.end() == (4403, f"Forbidden: {code}")


async def test_the_handshake_may_carry_the_credential(port: int) -> None:
    async with websocket(port, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
        await socket.begin(None)
        await socket.subscribe("1", QUERY)
        assert await socket.hear() == {"id": "1", "type": "next", "payload": ANSWER}


async def test_a_mutation_asks_the_platform_as_over_http(begun: Socket) -> None:
    again = f'mutation {{ redeliverCallback(input: {{batchId: "{BATCH}"}}) {{ __typename }} }}'
    await begun.subscribe("1", again)
    (error,) = (await begun.hear())["payload"]["errors"]
    assert error["extensions"]["code"] == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "x",
        "{",
        "7",
        "null",
        "[]",
        "{}",
        '{"type": 7}',
        '{"type": null}',
        '{"type": "x"}',
        '{"type": "next", "id": "1"}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{a}"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{a}"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 7}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "extensions": 7}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "operationName": {}}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "\\ud800"}}',
        '{"type": "complete"}',
        '{"type": NaN}',
        "[" * 5_000,
        b"\x00\x01",
        b'{"type": "ping"}',
    ],
)
async def test_what_is_no_message_closes_the_connection_and_is_no_failure(
    begun: Socket, message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await begun.connection.send(message)
        code, reason = await begun.end()
    assert (code, bool(reason)) == (4400, True)
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


async def test_text_that_is_no_utf8_is_no_failure(begun: Socket, caplog: pytest.LogCaptureFixture) -> None:
    await begun.connection.send(b"\xff\xfe", text=True)
    assert (await begun.end())[0] == 1007
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_message_may_be_so_large(begun: Socket) -> None:
    await begun.subscribe("1", QUERY + " " * 10_000)
    assert (await begun.end())[0] == 1009


async def test_an_id_is_free_again_when_its_operation_is_over(begun: Socket) -> None:
    for _ in range(2):
        await begun.subscribe("1", QUERY)
        assert await begun.hear() == {"id": "1", "type": "next", "payload": ANSWER}
        assert await begun.hear() == {"id": "1", "type": "complete"}


async def test_an_id_is_taken_while_its_operation_lasts(begun: Socket) -> None:
    await begun.subscribe("1", COUNT)
    await begun.subscribe("1", COUNT)
    assert await begun.end() == (4409, "Subscriber for 1 already exists")


async def test_who_completes_hears_no_more_and_may_use_the_id_again(begun: Socket) -> None:
    await begun.subscribe("1", COUNT)
    await begun.say(type="complete", id="1")
    await begun.say(type="complete", id="unknown")
    await begun.subscribe("1", QUERY)
    assert await begun.hear() == {"id": "1", "type": "next", "payload": ANSWER}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { callbackDeliveries { cursor } callbackAttempts { cursor } }", "GRAPHQL_VALIDATION_FAILED"),
        ('subscription { callbackDeliveries(after: "x") { cursor } }', "BAD_CURSOR"),
        ('subscription { callbackDelivery(id: "x") { cursor } }', "VALIDATION_ERROR"),
        ("query a { viewer { scopes } } query b { viewer { scopes } }", "OPERATION_NOT_FOUND"),
    ],
)
async def test_what_cannot_run_is_an_error_of_its_operation_alone(begun: Socket, query: str, code: str) -> None:
    await begun.subscribe("1", query)
    heard = await begun.hear()
    assert (heard["id"], heard["type"]) == ("1", "error")
    assert [error["extensions"]["code"] for error in heard["payload"]] == [code]
    await begun.say(type="ping")
    assert await begun.hear() == {"type": "pong"}


async def test_an_error_in_an_answer_is_part_of_it(begun: Socket) -> None:
    await begun.subscribe(
        "1", f'{{ viewer {{ scopes }} batch(id: "{BATCH}") {{ callbackDeliveries(first: 0) {{ id }} }} }}'
    )
    heard = await begun.hear()
    assert (heard["type"], heard["payload"]["data"]) == ("next", {**ANSWER["data"], "batch": None})
    assert [error["extensions"]["code"] for error in heard["payload"]["errors"]] == ["VALIDATION_ERROR"]
    assert await begun.hear() == {"id": "1", "type": "complete"}


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({}, True),
        ({"Origin": "https://app.example"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
    ],
)
async def test_a_browser_may_come_from_trusted_sites(port: int, headers: dict[str, str], *, is_let_in: bool) -> None:
    if is_let_in:
        async with websocket(port, additional_headers=headers) as socket:
            await socket.begin(KEY)
        return
    with pytest.raises(InvalidStatus) as refused:
        async with websocket(port, additional_headers=headers):
            pass
    assert refused.value.response.status_code == 403


async def test_each_operation_is_a_line_in_the_log(
    url: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "access")
    settings = Settings(database_url=url, profile=Profile.PRODUCTION, drain_seconds=0)
    async with gateway_here(settings) as port, websocket(port) as socket:
        await socket.begin(KEY)
        await socket.subscribe("1", "query Named { viewer { scopes } }")
        await socket.hear()
        await socket.hear()
        await socket.subscribe("2", "{ nothing }")
        await socket.hear()
    lines = access_lines(capsys.readouterr().err)
    assert [(line["method"], line["operation"], line["code"]) for line in lines] == [
        ("WEBSOCKET", "Named", "OK"),
        ("WEBSOCKET", "", "GRAPHQL_VALIDATION_FAILED"),
    ]


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"type": "ping"}, '"pong"'),
        ({"type": "subscribe", "id": "1", "payload": {"query": QUERY}}, '"next"'),
        ({"type": "subscribe", "id": "1", "payload": {"query": "{ nothing }"}}, '"error"'),
    ],
)
async def test_a_client_that_leaves_while_it_is_sent_something_is_no_failure(
    url: str, caplog: pytest.LogCaptureFixture, message: Any, answer: str
) -> None:
    app = create_app(Settings(database_url=url, profile=Profile.PRODUCTION, rate_limit=0))
    begin = {"type": "connection_init", "payload": {"Authorization": f"Bearer {KEY}"}}
    said = ({"type": "websocket.receive", "text": json.dumps(each)} for each in (begin, message))
    received = iter([{"type": "websocket.connect"}, *said])
    is_gone = asyncio.Event()

    async def receive() -> Message:
        for each in received:
            return each
        await is_gone.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(sent: Message) -> None:
        if answer in sent.get("text", ""):
            is_gone.set()
            raise ClientDisconnected

    scope = {"type": "websocket", "path": "/graphql", "headers": [], "subprotocols": [SUBPROTOCOL]}
    async with app.router.lifespan_context(app), asyncio.timeout(SECONDS):
        await app(scope, receive, send)
    gc.collect()  # a task whose failure nobody has seen tells of it when it goes
    assert is_gone.is_set()
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


async def test_random_bytes_never_fail(port: int, caplog: pytest.LogCaptureFixture) -> None:
    frames = [
        bytes([kind, *rest])
        for kind in (0x81, 0x82, 0x8F, 0x01, 0xF1)
        for rest in ((0xFF,) * 9, (0x00,) * 3, (0x85, 1, 2, 3))
    ]
    for frame in frames:
        async with websocket(port) as socket:
            await socket.begin(KEY)
            socket.connection.transport.write(frame)
            socket.connection.transport.write_eof()
            await socket.connection.wait_closed()
    assert not [record for record in caplog.records if record.exc_info]
