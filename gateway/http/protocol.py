"""HTTP/1.1 as uvicorn speaks it, for clients that take no more than their time to ask."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER = 0.5  # seconds


class Protocol(HttpToolsProtocol):
    """A connection, which is closed where the head of a request is not complete in time.

    The time runs from the connection's start, later from the first byte after an answer: what lies between is uvicorn's
    keep-alive, which that byte ends. The rest of a body that nobody waited for counts as well.
    """

    head_seconds: float
    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Stop the clock when a head is complete; start it when one begins."""
        super().data_received(data)
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
        if self._is_answering():
            super().shutdown()
        else:
            self._expect_nothing()
            self._closing = self.loop.call_later(LINGER, super().shutdown)

    def _is_answering(self) -> bool:
        if self.transport.get_protocol() is not self:  # but a WebSocket's
            return True
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]

    def _expect_head(self) -> None:
        self._closing = self.loop.call_later(self.head_seconds, self.timeout_keep_alive_handler)

    def _expect_nothing(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


def patient_for(seconds: float) -> type[Protocol]:
    """The protocol that waits that long for the head of a request."""

    class Patient(Protocol):
        head_seconds = seconds

    return Patient
