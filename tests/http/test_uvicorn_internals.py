"""Each internal of uvicorn that the gateway uses, by its name: an upgrade that moves one fails here."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.http.protocol import Protocol
from gateway.http.server import DrainingServer
from gateway.http.uvicorn_internals import (
    STARTUP_FAILURE,
    STATUS_LINE,
    ConnectionState,
    add_header,
    cut_connections,
    lifespan_state,
)

HEADER = (b"x-added", b"1")
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


async def app(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the body, when it is there."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"%d" % size})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[ConnectionState, asyncio.StreamReader, asyncio.StreamWriter]]:
    """uvicorn's side of a connection to that app, and a client's."""
    made: list[ConnectionState] = []

    def connection() -> ConnectionState:
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        config.load()
        made.append(ConnectionState(config=config, server_state=ServerState(), app_state={}))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        await until(lambda: made)
        yield made[0], reader, writer
    finally:
        writer.close()
        server.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens on this loop, in no more than 1,000 turns of it."""
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not happen")


async def test_cycle_scope_and_pipeline_tell_how_far_a_request_is() -> None:
    async with connected() as (connection, reader, writer):
        assert (connection.is_answered, connection.is_head_complete, connection.expects_body) == (True, False, False)
        writer.write(POST)
        await until(lambda: connection.is_head_complete)
        assert (connection.is_answered, connection.expects_body, connection.is_answer_begun) == (False, True, False)
        writer.write(b"body")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(1) == b"4"
        await until(lambda: connection.is_answered)
        assert (connection.is_answer_begun, connection.expects_body) == (True, False)


async def test_keep_alive_of_a_cycle_closes_the_connection_after_the_answer() -> None:
    async with connected() as (connection, reader, writer):
        writer.write(POST)
        await until(lambda: connection.is_head_complete)
        connection.end_after_answer()
        writer.write(b"body")
        assert (await reader.read()).endswith(b"4")


async def test_disconnected_and_message_event_of_a_cycle_end_the_wait_for_a_body() -> None:
    async with connected() as (connection, _, writer):
        writer.write(POST)
        await until(lambda: connection.is_head_complete)
        receiving = asyncio.ensure_future(connection.cycle.receive())
        await asyncio.sleep(0)
        connection.give_up_body()
        assert await receiving == {"type": "http.disconnect"}


async def test_flow_headers_and_the_clock_of_keep_alive_are_the_connections_own() -> None:
    async with connected() as (connection, reader, writer):
        writer.write(POST + b"body")
        await reader.readuntil(b"\r\n\r\n")
        await until(lambda: connection.is_answered and connection.timeout_keep_alive_task is not None)
        connection.stop_keep_alive()
        assert connection.timeout_keep_alive_task is None
        connection.flow.pause_reading()
        connection.read_on()
        assert not connection.flow.read_paused
        connection.drop_trailers()
        assert connection.headers == []
        connection.server_state.default_headers = [HEADER]
        assert connection.default_headers() == [HEADER]


def test_config_and_server_state_hold_the_headers_and_connections_of_all() -> None:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    server.config.load()
    add_header(server, HEADER)
    assert HEADER in server.config.encoded_headers
    assert HEADER in server.server_state.default_headers
    assert server.server_state.connections == set()
    cut_connections(server)


def test_lifespan_state_is_what_the_app_left() -> None:
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    server.config.load()
    server.lifespan = LifespanOn(server.config)
    assert lifespan_state(server) is server.lifespan.state


def test_status_lines_and_the_exit_status_are_there() -> None:
    assert STATUS_LINE[414].startswith(b"HTTP/1.1 414 ")
    assert STARTUP_FAILURE == 3


@pytest.mark.parametrize(
    "name",
    [
        "connection_made",
        "connection_lost",
        "data_received",
        "shutdown",
        "on_headers_complete",
        "on_body",
        "send_400_response",
    ],
)
def test_what_the_protocol_overrides_is_there_to_be_overridden(name: str) -> None:
    assert name in vars(HttpToolsProtocol)
    assert name in vars(Protocol)


@pytest.mark.parametrize("name", ["run", "startup", "handle_exit", "on_tick"])
def test_what_the_server_overrides_is_there_to_be_overridden(name: str) -> None:
    ours, theirs = vars(DrainingServer)[name], vars(uvicorn.Server)[name]
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
