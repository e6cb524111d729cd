"""What the gateway uses of uvicorn beyond what it documents, in one place.

`server` and `protocol` override methods of `Server` and `HttpToolsProtocol`, and reach their state through this module
alone. `tests/http/test_uvicorn_internals.py` holds each name, so that an upgrade which moves one fails there by its
name.
"""

from typing import Any

import uvicorn
from uvicorn import config
from uvicorn.protocols.http import httptools_impl

STARTUP_FAILURE = config.STARTUP_FAILURE  # the exit status of a server that could not start
STATUS_LINE = httptools_impl.STATUS_LINE  # by status


class ConnectionState(httptools_impl.HttpToolsProtocol):
    """A connection, with names for the state that its requests have in uvicorn."""

    url: bytes = b""

    @property
    def is_answered(self) -> bool:
        """Whether no request is under way (`cycle`, `cycle.response_complete`)."""
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]

    @property
    def is_answer_begun(self) -> bool:
        """Whether the request under way has begun to be answered (`cycle.response_started`), or others wait behind it
        (`pipeline`)."""
        return self.cycle.response_started or bool(self.pipeline)

    @property
    def expects_body(self) -> bool:
        """Whether the body of the last request is not complete (`cycle.more_body`)."""
        return self.cycle is not None and self.cycle.more_body  # type: ignore[redundant-expr]

    @property
    def is_head_complete(self) -> bool:
        """Whether the head of a request was read (`scope`, which has a `path` from then on)."""
        return self.scope is not None and "path" in self.scope  # type: ignore[redundant-expr]

    def end_after_answer(self) -> None:
        """Close the connection after the answer under way (`cycle.keep_alive`)."""
        self.cycle.keep_alive = False

    def give_up_body(self) -> None:
        """Tell whoever waits for the body that it is not coming (`cycle.disconnected`, `cycle.message_event`)."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def drop_trailers(self) -> None:
        """Let trailers of the body be added to a list that nobody reads (`headers`)."""
        self.headers = []

    def stop_keep_alive(self) -> None:
        """Stop the clock that closes an idle connection (`_unset_keepalive_if_required`)."""
        self._unset_keepalive_if_required()

    def read_on(self) -> None:
        """Read what the client sends, where that was paused (`flow.resume_reading`)."""
        self.flow.resume_reading()

    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of every answer, `Date` among them (`server_state.default_headers`)."""
        return list(self.server_state.default_headers)


def lifespan_state(server: uvicorn.Server) -> dict[str, Any]:
    """What the app's lifespan left for requests (`lifespan.state`)."""
    state: dict[str, Any] = server.lifespan.state
    return state


def add_header(server: uvicorn.Server, header: tuple[bytes, bytes]) -> None:
    """Add a header to every answer from now on, and keep it when uvicorn renews the others once a second
    (`config.encoded_headers`, `server_state.default_headers`)."""
    server.config.encoded_headers = [*server.config.encoded_headers, header]
    server.server_state.default_headers = [*server.server_state.default_headers, header]


def cut_connections(server: uvicorn.Server) -> None:
    """Cut every connection that is open (`server_state.connections`, their `transport`)."""
    for connection in list(server.server_state.connections):
        connection.transport.abort()
