"""A TCP proxy between the gateway and its database, to break what is between them."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)  # linger for no time: what is closed is not ended but reset


class Proxy:
    """Passes bytes on, in both directions, until it is told to misbehave. Every fault can be healed.

    `latency` is how many seconds each piece of at most 64 KiB is held back, on its way there and on its way back.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = host, port
        self.port = 0
        self.latency = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._pairs: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}  # the near end, and the far one

    async def start(self) -> None:
        """Listen, at first on a free port and later on the same."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Refuse connections, and reset those there are: nothing runs on the database's machine."""
        if self._server is not None:
            self._server.close()
        self.reset()

    def reset(self) -> None:
        """Reset every connection; new ones are welcome."""
        for writer in chain.from_iterable(self._pairs.values()):
            if not writer.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()

    def hole(self) -> None:
        """From now on pass nothing on: connections, new ones as well, stay open and get no answer."""
        self._open.clear()

    def heal(self) -> None:
        """Pass on what came meanwhile, and all that comes, without delay."""
        self.latency = 0.0
        self._open.set()

    def half_close(self) -> None:
        """Tell the near ends that no more will come; what they send still arrives, until there is an answer to it."""
        for near, *_ in self._pairs.values():
            if not near.is_closing():
                near.get_extra_info("socket").shutdown(socket.SHUT_WR)

    async def close(self) -> None:
        """Stop, and wait until nothing is passed on any more."""
        self.stop()
        connections = [*self._pairs]
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        writers = [near]
        connection = asyncio.ensure_future(self._connect(reader, writers))
        self._pairs[connection] = writers
        connection.add_done_callback(self._pairs.pop)

    async def _connect(self, reader: asyncio.StreamReader, writers: list[asyncio.StreamWriter]) -> None:
        try:
            await self._open.wait()
            far_reader, far = await asyncio.open_connection(*self.target)
            writers.append(far)
            await asyncio.gather(self._pump(reader, far), self._pump(far_reader, writers[0]))
        except OSError:
            pass  # nobody listens at the far end, and closing the near one tells so
        finally:
            for writer in writers:
                writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await asyncio.sleep(self.latency)
                await self._open.wait()
                sink.write(data)
                await sink.drain()
            await self._open.wait()
            sink.write_eof()
        except (OSError, RuntimeError):  # the latter is uvloop's for what is closed already
            sink.close()


@asynccontextmanager
async def proxied(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy that listens on a free port."""
    proxy = Proxy(host, port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
