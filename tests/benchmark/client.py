"""The load: connections that send the next request when the last one is answered, by hand, so that the client is not
what is measured.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from tests.benchmark.refusal import Refused

HEAD_END = b"\r\n\r\n"
OK = b"HTTP/1.1 200 "
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ERRORS = b'"errors":'
SECONDS_TO_ANSWER = 60.0

RequestRecord = tuple[bytes, bytes | None]  # a request, and the body that must come if it is known


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that is 200 and has no errors."""

    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header."""
        found = re.search(rb"\r\n" + name.encode() + rb": *([^\r\n]*)", self.head, re.IGNORECASE)
        return None if found is None else found[1].decode()


@dataclass(slots=True)
class Load:
    """Requests that many connections send together, until the time is over; what comes back is checked."""

    exchanges: Iterator[RequestRecord]
    until: float
    answered: int = 0
    failure: str | None = None
    last: bytes = b""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0

    def next(self) -> RequestRecord | None:
        """What to send now; None at the end."""
        if self.failure is not None or time.perf_counter() >= self.until:
            return None
        return next(self.exchanges, None)

    def take(self, expected: bytes | None, received: bytes, start: int) -> None:
        """Count an answer, whose body starts there, or find it wrong."""
        if received.find(ERRORS, start) >= 0:
            self.failure = f"an answer with errors: {received[start : start + 500]!r}"
        elif expected is not None and received[start:] != expected:
            self.failure = f"another payload than before: {received[start : start + 500]!r}, not {expected[:500]!r}"
        self.answered += 1
        self.last = received

    def ended(self) -> None:
        """One connection less."""
        self.open -= 1
        if self.open == 0:
            self.finished.set()


class Connection(asyncio.Protocol):
    """HTTP/1.1, kept alive, one request at a time."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: asyncio.Transport | None = None
        self.received = b""
        self.expected: bytes | None = None
        self.waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait to be started."""
        self.transport = transport  # type: ignore[assignment]
        self.load.open += 1

    def send(self) -> None:
        """Send the next request, or end."""
        assert self.transport is not None
        exchange = self.load.next()
        self.waiting = exchange is not None
        if exchange is None:
            self.transport.close()
        else:
            request, self.expected = exchange
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take an answer when it is complete."""
        received = self.received + data if self.received else data
        end = received.find(HEAD_END)
        if end < 0:
            self.received = received
            return
        length = LENGTH.search(received, 0, end)
        if length is None or not received.startswith(OK):
            self.load.failure = f"no answer of a known length: {received[:500]!r}"
            self.send()
            return
        start = end + len(HEAD_END)
        missing = start + int(length[1]) - len(received)
        if missing > 0:
            self.received = received
            return
        self.received = b""
        if missing < 0:
            self.load.failure = f"more than was announced: {received[:missing]!r} and {received[missing:]!r}"
        else:
            self.load.take(self.expected, received, start)
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that is lost before its answer came is a failure."""
        if self.waiting:
            self.load.failure = f"a connection was lost: {exc}"
        self.load.ended()


@dataclass(frozen=True, slots=True)
class Count:
    """How many requests were answered, in how many seconds, and how much of these the client itself has worked."""

    requests: int
    seconds: float
    client_seconds: float


async def send(address: Address, exchanges: Iterator[RequestRecord], connections: int, seconds: float) -> Count:
    """Send requests for so long. `Refused` where anything is not as it must be."""
    load = Load(exchanges, float("inf"))
    opened = await _connect(address, load, connections)
    started, spent = time.perf_counter(), time.process_time()
    load.until = started + seconds
    for connection in opened:
        connection.send()
    await _finished(load, seconds)
    return Count(load.answered, time.perf_counter() - started, time.process_time() - spent)


async def ask(address: Address, request: bytes) -> Answer:
    """The answer to one request."""
    load = Load(iter([(request, None)]), float("inf"))
    (connection,) = await _connect(address, load, 1)
    connection.send()
    await _finished(load, 0)
    head, _, body = load.last.partition(HEAD_END)
    return Answer(head, body)


async def _finished(load: Load, seconds: float) -> None:
    """Wait for the last answers; `Refused` where they do not come or are not as they must be."""
    try:
        await asyncio.wait_for(load.finished.wait(), seconds + SECONDS_TO_ANSWER)
    except TimeoutError:
        raise Refused(f"no answer in {SECONDS_TO_ANSWER:g} s") from None
    if load.failure is not None:
        raise Refused(load.failure)


async def _connect(address: Address, load: Load, connections: int) -> list[Connection]:
    loop = asyncio.get_running_loop()
    opened: list[Connection] = []
    with suppress(OSError):
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(load), address.host, address.port)
            opened.append(connection)
    if len(opened) < connections:
        raise Refused(f"nobody listens at {address.host}:{address.port}")
    return opened
