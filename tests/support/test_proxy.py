"""The proxy that tests break connections with: each fault, and what heals it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.support.proxy import Proxy, proxied


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends back each line."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionResetError):
            while line := await reader.readline():
                writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, proxied("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def _connected(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def _echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes = b"hello\n") -> bytes:
    writer.write(line)
    return await reader.readline()


async def test_latency_is_there_and_back(proxy: Proxy) -> None:
    ends = await _connected(proxy)
    proxy.latency, started = 0.1, asyncio.get_running_loop().time()
    assert await _echoed(*ends) == b"hello\n"
    assert asyncio.get_running_loop().time() - started >= 0.2
    ends[1].close()


async def test_a_reset_ends_what_is_there_and_nothing_else(proxy: Proxy) -> None:
    reader, writer = await _connected(proxy)
    assert await _echoed(reader, writer) == b"hello\n"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await reader.readline()
    again = await _connected(proxy)
    assert await _echoed(*again) == b"hello\n"
    for each in (writer, again[1]):
        each.close()


async def test_what_was_stopped_refuses_until_it_starts_on_the_same_port(proxy: Proxy) -> None:
    port = proxy.port
    proxy.stop()
    with pytest.raises(ConnectionRefusedError):
        await _connected(proxy)
    await proxy.start()
    reader, writer = await _connected(proxy)
    assert (proxy.port, await _echoed(reader, writer)) == (port, b"hello\n")
    writer.close()


async def test_a_hole_swallows_old_and_new_connections_until_it_heals(proxy: Proxy) -> None:
    old = await _connected(proxy)
    assert await _echoed(*old) == b"hello\n"
    proxy.hole()
    new = await _connected(proxy)
    asking = [asyncio.ensure_future(_echoed(*ends)) for ends in (old, new)]
    assert (await asyncio.wait(asking, timeout=0.1))[0] == set()
    proxy.heal()
    assert await asyncio.gather(*asking) == [b"hello\n"] * 2
    for _, writer in (old, new):
        writer.close()


async def test_a_half_closed_connection_ends_for_who_reads(proxy: Proxy) -> None:
    reader, writer = await _connected(proxy)
    assert await _echoed(reader, writer) == b"hello\n"
    proxy.half_close()
    assert await reader.read() == b""
    assert not writer.is_closing()
    writer.close()
