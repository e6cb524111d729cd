"""A TCP proxy between the gateway and its database, to break what is between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Proxy:
    """Passes bytes on, in both directions, until `hole` swallows them."""

    def __init__(self, host: str, port: int) -> None:
        self.target = host, port
        self.port = 0
        self.open = asyncio.Event()
        self.open.set()
        self.writers: list[asyncio.StreamWriter] = []
        self.server: asyncio.Server | None = None
        self.connections: list[asyncio.Future[Any]] = []

    def hole(self) -> None:
        """From now on swallow everything; connections stay open and get no answer."""
        self.open.clear()

    def heal(self) -> None:
        """Pass bytes on again."""
        self.open.set()

    def stop(self) -> None:
        """Reset every connection and accept no other."""
        for writer in self.writers:
            writer.transport.abort()
        if self.server is not None:
            self.server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        self.writers += [writer, far_writer]
        pumps = asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer), return_exceptions=True)
        self.connections.append(pumps)
        await pumps

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self.open.wait()
                sink.write(data)
                await sink.drain()
        finally:
            sink.close()


@asynccontextmanager
async def proxied(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy that listens on a free port."""
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
    proxy.server = server
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.heal()
        server.close()
        for writer in proxy.writers:
            writer.close()
        await asyncio.gather(*proxy.connections, return_exceptions=True)
