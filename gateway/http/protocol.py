"""HTTP/1.1 as uvicorn speaks it, for clients that take no more than their time to ask, and no more room."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, cast

from gateway.errors import AddressLimitExceeded, BadRequest, ClientError, HeadLimitExceeded
from gateway.http.graphql import GRAPHQL_PATH as GRAPHQL
from gateway.http.middleware import HEADERS, REQUEST_ID, new_id
from gateway.http.uvicorn_internals import STATUS_LINE, ConnectionState

logger = logging.getLogger(__name__)

MOMENT = 0.5  # seconds in which a request may be on its way that was sent before its client knew of the end
VERSIONS = ("1.1", "1.0")
MOST_HEADERS = 100
MOST_HELD = 64 << 10  # bytes that wait for the end of the loop's turn: where uvicorn lets a writer wait, too
MOST_DISCARDED = 64 << 20  # bytes of a body that nobody wants, until the connection is cut


class Transport:
    """A connection's transport. Its `close` is the protocol's, which may have to wait for the client.

    What is written in one turn of the event loop leaves in one system call: an answer's head and its body come as two
    writes, and the second call was a sixth of the CPU time of `{ __typename }`. More than `MOST_HELD` bytes leave at
    once, so that whoever writes without a pause is still slowed down by a client that reads slowly.
    """

    def __init__(
        self, transport: asyncio.Transport, close: Callable[[], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.is_lingering = False
        self.close = close
        self._transport = transport
        self._call_soon = loop.call_soon
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Send it before the loop's next turn."""
        if not self._held:
            self._call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > MOST_HELD:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        if self._held:
            held, self._held, self._size = self._held, [], 0
            self._transport.write(b"".join(held))

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self.is_lingering or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(ConnectionState):
    """A connection, whose requests are limited in time and in bytes before anybody looks at them.

    **Time.** It is closed where the head of a request is not complete in `head_seconds`. They run from the connection's
    start, later from the first byte after an answer: what lies between is uvicorn's keep-alive, which that byte ends.
    The rest of a body that nobody waited for counts as well.

    **Bytes.** No more than `max_head_bytes`, twice that where requests are sent one behind the other, are read that are
    not of a body: the line, the headers, what a chunk says of itself, the trailers, which are thrown away. What is more
    is answered 414 or 431, as are more than `MOST_HEADERS`, and the connection is closed.

    **Lingering.** A connection that is closed while its client still sends would be reset by the kernel, and the answer
    lost with it. So the client is told that no more will be written, and what it sends is thrown away until it closes,
    for `head_seconds` and `MOST_DISCARDED` bytes at most.
    """

    head_seconds: float
    max_head_bytes: int

    _closing: asyncio.TimerHandle | None = None
    _refusal: ClientError | None = None
    _is_deaf = False  # nothing that comes is read any more
    _discarded = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head."""
        super().connection_made(transport)
        self._socket = transport
        self._lingering = Transport(transport, self._close, self.loop)
        self.transport = cast("asyncio.Transport", self._lingering)
        self._left = self.max_head_bytes
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Read no more than what is left; stop the clock when a head is complete, start it when one begins."""
        while data:
            if self._is_deaf:
                self._discard(len(data))
                return
            part, data = data[: self._left], data[self._left :]
            self._left -= len(part)
            super().data_received(part)
            if self._left <= 0 and not self._is_deaf:
                self._refuse(self._too_much())
        if self._is_deaf:
            return
        if self._is_answering():
            self._expect_nothing()
        elif self._closing is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection after the request under way, or in a moment: one may be on its way."""
        if self._lingering.is_lingering:
            self._socket.close()
        elif self._is_answering():
            super().shutdown()
        else:
            self._expect_nothing()
            self._closing = self.loop.call_later(MOMENT, super().shutdown)

    def on_headers_complete(self) -> None:
        """Begin to answer, unless the head is refused."""
        self._left, self._discarded = self.max_head_bytes, 0
        self._refusal = self._wrong_with_head()
        if self._refusal is not None:
            raise ValueError  # the parser stops, and `send_400_response` is called
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.drop_trailers()  # they would be added to the headers that were checked

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on, or throw it away where the answer is sent."""
        self._left = self.max_head_bytes
        if self.is_answered:
            self._discard(len(body))
        else:
            super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request; uvicorn calls this."""
        self._refuse(self._refusal or BadRequest(msg))

    def _wrong_with_head(self) -> ClientError | None:
        count = len(self.headers)
        if count > MOST_HEADERS:
            return HeadLimitExceeded(f"The request has more than {MOST_HEADERS} headers.", MOST_HEADERS, count)
        version = self.parser.get_http_version()
        if version not in VERSIONS:
            return BadRequest("HTTP/1.1 and HTTP/1.0 are spoken here.")
        hosts = 0
        for name, _ in self.headers:
            if name == b"host":
                hosts += 1
        if hosts != 1 and (hosts or version == "1.1"):
            return BadRequest("The request must have one `Host` header.")
        return None

    def _too_much(self) -> ClientError:
        limit = self.max_head_bytes
        if self._is_in_head() and 2 * len(self.url) > limit:
            return AddressLimitExceeded(f"The address has too many bytes: a head may have {limit}.", limit)
        return HeadLimitExceeded(
            f"The head of the request, or what follows its body, has more than {limit} bytes.", limit
        )

    def _refuse(self, error: ClientError) -> None:
        """Answer what is no request, and hear no more of the client. What came before is answered first."""
        self._is_deaf = True
        id_ = new_id()
        logger.info("no request: %s %s", error.code, error.message, extra={"request_id": id_.decode()})
        if self._is_answering():
            if self._is_in_head():
                self.end_after_answer()
                return
            if self.is_answer_begun:
                self._lingering.flush()
                self._socket.close()
                return
            self.give_up_body()
        body = _body(error, self.url)
        headers = [
            *self.default_headers(),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (REQUEST_ID, id_),
            *HEADERS,
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self._lingering.write(b"".join([STATUS_LINE[error.status], *lines, b"\r\n", body]))
        self._close()

    def _close(self) -> None:
        """Close the connection, but not before a client that still sends could read its answer."""
        self._lingering.flush()
        sends = self._is_deaf or self.expects_body
        if not sends or self._lingering.is_closing():
            self._socket.close()
            return
        self._is_deaf = self._lingering.is_lingering = True
        self.stop_keep_alive()
        self._expect_nothing()
        self._closing = self.loop.call_later(self.head_seconds, self._socket.close)  # what is not sent yet still is
        self._socket.write_eof()
        self.read_on()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > MOST_DISCARDED:
            self._socket.abort()

    def _is_answering(self) -> bool:
        if self._socket.get_protocol() is not self:  # but a WebSocket's
            return True
        return not self.is_answered

    def _is_in_head(self) -> bool:
        """Whether the head of the last request is not complete, or the next one may begin."""
        return not self.is_head_complete or not self.expects_body

    def _expect_head(self) -> None:
        self._closing = self.loop.call_later(self.head_seconds, self._socket.close)

    def _expect_nothing(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


def _body(error: ClientError, url: bytes) -> bytes:
    """An error as the face says it that was asked."""
    if url.partition(b"?")[0] == GRAPHQL.encode():
        content: dict[str, Any] = {"errors": [{"message": error.message, "extensions": error.extensions}]}
    else:
        content = {"code": error.code, "message": error.message, "errors": None}
    return json.dumps(content, separators=(",", ":")).encode()


def limited_to(seconds: float, size: int) -> type[Protocol]:
    """The protocol that waits that long for the head of a request, and reads that many bytes of it."""

    class Limited(Protocol):
        head_seconds = seconds
        max_head_bytes = size

    return Limited
