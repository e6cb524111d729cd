"""One request and its answer, as operators may see them: names and numbers, never a value, a header or a secret."""

import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from gateway.observability.metrics import Metrics


class Trace(Protocol):
    """The span of a request, where requests are traced; not `recording` where this one is not among the samples."""

    recording: bool

    @property
    def id(self) -> str:
        """The trace's id."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the answer carries of it."""

    def statement(self, summary: str, seconds: float, rows: int) -> None:
        """Note a statement that has just ended."""

    def end(self, exchange: "RequestRecord") -> None:
        """End it with what is known now."""


class Traces(Protocol):
    """Where spans come from; what makes them is imported only where it is installed."""

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> Trace | None:
        """The span of a request with these headers, whose names are in lower case; None where there is to be none."""

    def close(self) -> None:
        """Send what is left."""


@dataclass(slots=True)
class RequestRecord:
    """Filled in on the way, by whoever knows.

    `face` is one of `FACES` in metrics. `started`, and `begun` when the answer began, are times of `perf_counter`.
    `operation` is the GraphQL operation's name, empty where it has none, and `kind` `query`, `mutation` or
    `subscription`. `document`
    gives the normalised document, and is called only when somebody wants to see it. `planned` tells the fast path from
    the ordinary executor. `code` is the first error's, or `OK`. `key` is the API key's id, or `jwt`. `bytes` are those
    of the answer's body, and `events` the answers in it where it is a stream of them.
    """

    method: str = ""
    path: str = ""
    face: str = "other"
    started: float = 0.0
    begun: float = 0.0
    operation: str = ""
    kind: str = ""
    document: Callable[[], str] | None = None
    planned: bool = False
    code: str = "OK"
    status: int = 0
    key: str = ""
    statements: int = 0
    rows: int = 0
    bytes: int = 0
    events: int = 0
    metrics: Metrics | None = None
    trace: Trace | None = None

    def fetched(self, summary: str, started: float, rows: int) -> None:
        """Note a statement that has just ended.

        `summary` says what it is in words that hold no value, such as `SELECT batches`; `started` is a time of
        `perf_counter`.
        """
        seconds = time.perf_counter() - started
        self.statements += 1
        self.rows += rows
        if self.metrics is not None:
            self.metrics.statement(seconds, rows)
        if self.trace is not None:
            self.trace.statement(summary, seconds, rows)


OUTSIDE = RequestRecord()
"""The record outside of requests, which nobody reads."""

exchange: ContextVar[RequestRecord] = ContextVar("exchange", default=OUTSIDE)
"""The request that is being answered, or `OUTSIDE`."""
