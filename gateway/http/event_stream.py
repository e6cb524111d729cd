"""Answers that come one after the other, as server-sent events (`text/event-stream`).

The events are those of GraphQL over SSE in its mode of distinct connections: each answer is a `next`, and the end a
`complete`. For example, with `⏎` for a line end:

    event: next⏎data: {"data":{"ticks":1}}⏎⏎event: complete⏎data:⏎⏎
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.execution.run import Answer
from gateway.http.disconnect import disconnected
from gateway.observability.record import exchange

COMPLETE = b"event: complete\ndata:\n\n"
STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events until it has a buffer full of them
)


class EventStream:
    """A stream of answers, sent as they come; each is encoded by `encode`, to JSON without line ends.

    Whoever makes the answers is closed when the last one has been sent, and when the client hangs up.
    """

    def __init__(
        self,
        answers: AsyncGenerator[Answer],
        encode: Callable[[Answer], bytes],
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.answers = answers
        self.encode = encode
        self.headers = headers

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            async with aclosing(self.answers):
                await send({"type": "http.response.start", "status": 200, "headers": [*STREAM_HEADERS, *self.headers]})
                await send({"type": "http.response.body", "body": b"", "more_body": True})
                while (answer := await self._next(gone)) is not None:
                    exchange.get().events += 1
                    event = b"event: next\ndata: %b\n\n" % self.encode(answer)
                    await send({"type": "http.response.body", "body": event, "more_body": True})
                if not gone.done():
                    await send({"type": "http.response.body", "body": COMPLETE})
        finally:
            gone.cancel()

    async def _next(self, gone: "asyncio.Future[None]") -> Answer | None:
        """The next answer; None where there is no more, or nobody to send it to."""
        answer = asyncio.ensure_future(anext(self.answers, None))
        waiting: set[asyncio.Future[Any]] = {answer, gone}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return None if gone.done() else answer.result()
        finally:
            if not answer.done():
                answer.cancel()
                await asyncio.wait({answer})  # a generator that runs cannot be closed
