"""A pooler in transaction mode for machines without PgBouncer: it does as PgBouncer does with what the gateway needs.

A client has a connection of the server from the first message of a transaction to its end. Of what a client says at its
start only the names of its role and database reach the server; what would have to is refused. A request to cancel is
passed on, and a client that leaves in the midst of a transaction takes the server's connection with it.
"""

import asyncio
import struct
from asyncio import Queue, StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Thread

HOST = "127.0.0.1"
VERSION, CANCEL, ENCRYPTED = 196608, 80877102, {80877103, 80877104}
KNOWN = (
    {b"user", b"database", b"application_name"} | {b"client_encoding", b"datestyle", b"timezone"}
    | {b"standard_conforming_strings"}
)  # fmt: skip
ENDS = (b"Q", b"S", b"F")  # messages that the server answers with one that it is ready
TRUSTED = b"R" + struct.pack("!ii", 8, 0)
READY = b"Z" + struct.pack("!i", 5) + b"I"
LOST = (OSError, asyncio.IncompleteReadError)


@contextmanager
def pooling(server: int, port: int, size: int) -> Iterator[None]:
    """Lend at most `size` connections to the server at one port, for each role and database, to clients of another."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    pool = _Pool(server, size)
    listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(pool.answer, HOST, port), loop).result()

    async def end() -> None:
        listening.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Client:
    def __init__(self, writer: StreamWriter, number: int) -> None:
        self.writer = writer
        self.number = number
        self.lent: _Lent | None = None


class _Lent:
    """A connection of the server, and who has it."""

    def __init__(self, reader: StreamReader, writer: StreamWriter, free: "Queue[_Lent | None]") -> None:
        self.reader, self.writer, self.free = reader, writer, free
        self.client: _Client | None = None
        self.expected = 0  # how often it has yet to say that it is ready
        self.told, self.key = b"", b""

    async def start(self, role: bytes, database: bytes) -> None:
        """Begin a session."""
        said = struct.pack("!i", VERSION) + b"user\0%b\0database\0%b\0\0" % (role, database)
        self.writer.write(struct.pack("!i", len(said) + 4) + said)
        while (message := await _message(self.reader))[:1] != b"Z":
            if message[:1] == b"S":
                self.told += message
            elif message[:1] == b"K":
                self.key = message[5:]
            elif message[:1] == b"E":
                raise ConnectionError(message)

    async def follow(self) -> None:
        """Pass on what the server says, and come back where a transaction has ended."""
        try:
            while True:
                message = await _message(self.reader)
                if self.client is not None:
                    self.client.writer.write(message)
                    self.expected -= message[:1] == b"Z"
                    if message == READY and not self.expected:
                        self.client.lent, self.client = None, None
                        self.free.put_nowait(self)
                elif message[:1] == b"E":  # it is told to end
                    break
        except LOST:
            pass
        finally:
            self.writer.close()
            if self.client is not None:
                self.client.writer.close()
                self.free.put_nowait(None)


class _Pool:
    def __init__(self, server: int, size: int) -> None:
        self.server, self.size = server, size
        self.free: dict[tuple[bytes, bytes], Queue[_Lent | None]] = {}
        self.clients: dict[int, _Client] = {}
        self.numbers = count(1)
        self.following: set[asyncio.Task[None]] = set()

    async def answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection of a client."""
        client = _Client(writer, next(self.numbers))
        try:
            parameters = await self._greet(reader, writer)
            if parameters is not None:
                await self._serve(client, reader, parameters)
        except LOST:
            pass
        finally:
            self.clients.pop(client.number, None)
            if client.lent is not None:
                client.lent.writer.close()
            writer.close()

    async def _greet(self, reader: StreamReader, writer: StreamWriter) -> dict[bytes, bytes] | None:
        while True:
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(length - 4)
            (code,) = struct.unpack("!i", body[:4])
            if code in ENCRYPTED:
                writer.write(b"N")
            elif code == CANCEL:
                await self._cancel(*struct.unpack("!ii", body[4:12]))
                return None
            else:
                words = body[4:].rstrip(b"\0").split(b"\0")
                given = dict(zip(words[::2], words[1::2], strict=True))
                unknown = sorted(name for name in given if name.lower() not in KNOWN)
                if unknown:
                    said = b"SFATAL\0C08P01\0Munsupported startup parameter: %b\0\0" % unknown[0]
                    writer.write(b"E" + struct.pack("!i", len(said) + 4) + said)
                    return None
                return given

    async def _cancel(self, number: int, _secret: int) -> None:
        client = self.clients.get(number)
        if client is not None and client.lent is not None:
            _, writer = await asyncio.open_connection(HOST, self.server)
            writer.write(struct.pack("!ii", 8 + len(client.lent.key), CANCEL) + client.lent.key)
            writer.close()

    async def _serve(self, client: _Client, reader: StreamReader, given: dict[bytes, bytes]) -> None:
        role = given[b"user"]
        of = role, given.get(b"database", role)
        first = await self._take(of)
        client.writer.write(TRUSTED + first.told + b"K" + struct.pack("!iii", 12, client.number, 0) + READY)
        first.free.put_nowait(first)
        self.clients[client.number] = client
        while (message := await _message(reader))[:1] != b"X":
            if client.lent is None:
                lent = await self._take(of)
                client.lent, lent.client = lent, client
            client.lent.expected += message[:1] in ENDS
            client.lent.writer.write(message)

    async def _take(self, of: tuple[bytes, bytes]) -> _Lent:
        """A connection that nobody has, a new one in the place of one that was lost."""
        if of not in self.free:
            self.free[of] = Queue()
            for _ in range(self.size):
                self.free[of].put_nowait(None)
        free = self.free[of]
        lent = await free.get()
        if lent is not None and not lent.writer.is_closing():
            return lent
        try:
            lent = _Lent(*await asyncio.open_connection(HOST, self.server), free)
            await lent.start(*of)
        except BaseException:
            free.put_nowait(None)
            raise
        following = asyncio.ensure_future(lent.follow())
        self.following.add(following)
        following.add_done_callback(self.following.discard)
        return lent


async def _message(reader: StreamReader) -> bytes:
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!i", head[1:])
    return head + await reader.readexactly(length - 4)
