"""A load of many clients on a gateway, whose every answer is checked: it is right, or says why there is none."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

HOST = "127.0.0.1"
PATIENCE = 60.0  # seconds for which no answer is waited for, so that one which never comes is found
LIMIT = 2**24  # bytes of an answer
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
RETRY = re.compile(rb"\r\nretry-after: *[1-9]\d*\r\n", re.IGNORECASE)

RIGHT = "right"
REFUSED = "refused"  # nobody listened: nothing was asked
LATE = "DEADLINE_EXCEEDED"
STATUSES = {LATE: (200, 504), "UNAVAILABLE": (503,), "OVERLOADED": (503,)}
"""The codes of the errors that a fault may cause, with their statuses: 200 for GraphQL as `application/json`."""
ALLOWED = frozenset({RIGHT, *STATUSES})


@dataclass(frozen=True, slots=True)
class Asked:
    """A whole HTTP request, and the body that is the right answer; where that is None, any without errors is."""

    request: bytes
    expected: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """How an exchange ended: `RIGHT`, `REFUSED`, one of `STATUSES`, or words for what must not happen. The times are
    of `perf_counter`, when the request was sent and when the answer was there."""

    what: str
    sent: float
    at: float

    @property
    def seconds(self) -> float:
        """How long the client waited."""
        return self.at - self.sent


class Client:
    """One connection, kept alive and opened again where it was closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.body = b""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, asked: Asked) -> Answered:
        """Send a request and wait for its answer, whose body is `body` from then on."""
        sent = time.perf_counter()
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(HOST, self.port, limit=LIMIT)
        except OSError:
            return Answered(REFUSED, sent, time.perf_counter())
        try:
            async with asyncio.timeout(PATIENCE):
                what = await self._exchange(*self._streams, asked)
        except (OSError, EOFError) as failure:
            self.close()
            what = f"lost: {failure!r}"
        return Answered(what, sent, time.perf_counter())

    @property
    def is_open(self) -> bool:
        """Whether the connection may be used again."""
        return self._streams is not None

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Asked) -> str:
        writer.write(asked.request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        if length is None:
            return f"an answer of no known length: {head!r}"
        self.body = await reader.readexactly(int(length[1]))
        if CLOSE.search(head):
            self.close()
        return outcome(head, self.body, asked.expected)


def outcome(head: bytes, body: bytes, expected: bytes | None) -> str:
    """`RIGHT`, the code of an error that is as it must be, or what is wrong."""
    found = HEAD.match(head)
    status = int(found[1]) if found else 0
    if status == 200 and (body == expected or (expected is None and not body.startswith(b'{"errors"'))):
        return RIGHT
    wrong = f"wrong: {status} {body[:300]!r}"
    try:
        answer = json.loads(body)
    except ValueError:
        return wrong
    code = answer.get("code") or answer.get("errors", [{}])[0].get("extensions", {}).get("code")
    if status not in STATUSES.get(code, ()) or answer.get("data") is not None:
        return wrong
    return wrong if status == 503 and not RETRY.search(head) else str(code)


@asynccontextmanager
async def load(
    port: int, asked: Iterator[Asked], note: Callable[[Answered], None], *, clients: int, rate: float | None = None
) -> AsyncIterator[None]:
    """Clients that ask meanwhile, at most `rate` requests a second in all, or as fast as they are answered.

    Each asks again when it was answered and its turn has come; what was missed is not made up for. In the end every
    request is answered.
    """
    ended = asyncio.Event()
    pause = clients / rate if rate else 0.0

    async def ask_on(number: int) -> None:
        await asyncio.sleep(number / clients * pause)
        client, due = Client(port), time.perf_counter()
        while not ended.is_set():
            note(await client.ask(next(asked)))
            due = max(due + pause, time.perf_counter())
            await asyncio.sleep(due - time.perf_counter())
        client.close()

    asking = [asyncio.ensure_future(ask_on(number)) for number in range(clients)]
    try:
        yield
    finally:
        ended.set()
        await asyncio.gather(*asking)
