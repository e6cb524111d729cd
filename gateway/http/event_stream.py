"""Answers that come one after the other: as server-sent events, or as the parts of a multipart answer.

The events are those of GraphQL over SSE in its mode of distinct connections: each answer is a `next`, whose id is the
event's cursor, and the end a `complete`. Before the first stands the id behind which the stream begins. For example,
with `⏎` for a line end:

    event: next⏎id: AY2f⏎data: {"data":{"ticks":1}}⏎⏎event: complete⏎data:⏎⏎

The parts are those of Apollo's protocol for subscriptions over multipart HTTP, each `{"payload": …}`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from gateway.execution.run import Answer, refuse
from gateway.execution.subscribe import Answers
from gateway.http.disconnect import disconnected
from gateway.http.streams import Stream, Streams
from gateway.observability.record import exchange

ALIVE = b":\n\n"
SECONDS_TO_TELL = 2.0  # a client why its stream ends: it may read no more
STREAM_HEADERS = (
    (b"cache-control", b"no-cache, no-transform"),  # which also keeps proxies from compressing
    (b"x-accel-buffering", b"no"),  # nginx would keep events until it has a buffer full of them
)


@dataclass(frozen=True, slots=True)
class Framing:
    """How answers are written one behind the other: `begin` for what stands before the first, with the cursor behind
    which they begin, `answer` for each with its own, what says only that the connection is alive, and the end."""

    name: str
    media: bytes
    begin: Callable[[str | None], bytes]
    answer: Callable[[bytes, str | None], bytes]
    alive: bytes
    end: bytes


def _beginning(cursor: str | None) -> bytes:
    """An event without data tells nobody anything, but where to take the stream up if no other comes."""
    return ALIVE if cursor is None else b"id: %b\n\n" % cursor.encode()


def _event(encoded: bytes, cursor: str | None) -> bytes:
    place = b"" if cursor is None else b"id: %b\n" % cursor.encode()
    return b"event: next\n%bdata: %b\n\n" % (place, encoded)


def _part(encoded: bytes, _cursor: str | None) -> bytes:
    return b'\r\nContent-Type: application/json\r\n\r\n{"payload":%b}\r\n--graphql' % encoded


EVENTS = Framing("sse", b"text/event-stream; charset=utf-8", _beginning, _event, ALIVE, b"event: complete\ndata:\n\n")
PARTS = Framing(
    "multipart",
    b'multipart/mixed;boundary="graphql";subscriptionSpec=1.0',
    lambda _cursor: b"\r\n--graphql",
    _part,
    b"\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql",
    b"--\r\n",
)


class EventStream:
    """A stream of answers, sent as they come; each is encoded by `encode`, to JSON without line ends.

    Whoever makes the answers is closed when the last one has been sent, and when the client hangs up. Where it is one
    of the open `streams`, these may end it, and the client is told why.
    """

    def __init__(
        self,
        answers: Answers,
        encode: Callable[[Answer], bytes],
        framing: Framing = EVENTS,
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        streams: Streams | None = None,
        stream: Stream | None = None,
    ) -> None:
        self.answers = answers
        self.encode = encode
        self.framing = framing
        self.headers = headers
        self.streams = streams
        self.stream = stream
        self._is_over = self._is_gone = False
        if stream is not None:
            stream.beat_by(self.beat)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self._send = send
        task = asyncio.current_task()
        gone = asyncio.create_task(self._watch(receive, task))
        try:
            headers = [(b"content-type", self.framing.media), *STREAM_HEADERS, *self.headers]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._write(self.framing.begin(getattr(self.answers, "cursor", None)))
            async for answer in self.answers:
                await self._tell(answer)
            await self._finish()
        except asyncio.CancelledError:
            if self._is_gone and task is not None and task.uncancel() == 0:
                return
            if self.stream is None or not self.stream.ended():
                raise
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_TO_TELL):
                    if self.stream.reason is not None:
                        await self._tell(refuse(self.stream.reason))
                    await self._finish()
        finally:
            gone.cancel()
            await self.answers.aclose()
            if self.streams is not None and self.stream is not None:
                self.streams.close(self.stream)

    async def beat(self) -> None:
        """Say that the connection is alive."""
        await self._send({"type": "http.response.body", "body": self.framing.alive, "more_body": True})

    async def _tell(self, answer: Answer) -> None:
        exchange.get().events += 1
        await self._write(self.framing.answer(self.encode(answer), answer.cursor))
        if self.streams is not None and self.stream is not None:
            self.streams.count_event(self.stream)

    async def _write(self, body: bytes) -> None:
        if self.stream is not None:
            self.stream.sending()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        if self.stream is not None:
            self.stream.sent()

    async def _finish(self) -> None:
        self._is_over = True  # from now on a client that hangs up ends nothing
        await self._send({"type": "http.response.body", "body": self.framing.end})

    async def _watch(self, receive: Receive, task: "asyncio.Task[None] | None") -> None:
        await disconnected(receive)
        if task is not None and not self._is_over:
            self._is_gone = True
            task.cancel()
