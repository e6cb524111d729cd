"""Where the record of a request begins, and who is told when it ends."""

import time
from collections.abc import Iterable, Iterator

from gateway.errors import ClientError, InternalError
from gateway.observability.metrics import CLIENT_GONE, OK, Metrics
from gateway.observability.record import RequestRecord, Traces, exchange
from gateway.observability.request_log import AccessLog, log_slow
from gateway.settings import ObservabilitySettings

GONE = 499  # the status of a request whose client did not wait for the answer
STREAMED = "subscription"
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


def _codes(kind: type[ClientError] = ClientError) -> Iterator[tuple[int, str]]:
    for below in kind.__subclasses__():
        yield below.status, below.code
        yield from _codes(below)


CODE_OF_STATUS = {**dict(reversed(list(_codes()))), GONE: CLIENT_GONE, 500: InternalError.code}
"""The code of a status, where nobody has said more: the first one in the tree."""


class Recorder:
    """What a gateway shows of its requests. `metrics`, `traces` and the access log are None where they are off; a
    request whose answer takes `slow_seconds` to begin is logged by itself, none where that is 0: how long it takes to
    the end is the client's doing, too."""

    def __init__(
        self,
        settings: ObservabilitySettings,
        metrics: Metrics | None = None,
        traces: Traces | None = None,
        access_log: AccessLog | None = None,
    ) -> None:
        self.metrics = metrics
        self.traces = traces
        self.access_log = access_log
        self.slow_seconds = settings.slow_seconds or float("inf")

    @property
    def is_idle(self) -> bool:
        """True where nobody would be told anything."""
        return not (self.access_log or self.metrics or self.traces or self.slow_seconds < float("inf"))

    def begin(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]]) -> RequestRecord:
        """The record of a request, which is the current one from now on. The names of `headers` are in lower case."""
        record = RequestRecord(method, path, face_of(path), time.perf_counter(), metrics=self.metrics)
        if self.traces is not None:
            record.trace = self.traces.begin(headers)
        exchange.set(record)
        return record

    def end(self, record: RequestRecord) -> None:
        """Tell of a request that has been answered, or given up where it has no `status`."""
        now = time.perf_counter()
        seconds = now - record.started
        if not record.status:
            record.status = GONE
        if record.status >= 400 and record.code == OK:
            record.code = CODE_OF_STATUS.get(record.status, "")
        if self.metrics is not None:
            # A stream's time is that until it begins: how long it lasts is up to its client.
            taken = (record.begun or now) - record.started if record.kind == STREAMED else seconds
            self.metrics.request(record.face, record.operation, record.planned, record.code, taken)
        if self.access_log is not None:
            self.access_log.write(record, seconds)
        if (record.begun or now) - record.started >= self.slow_seconds:
            log_slow(record, seconds)
        if record.trace is not None:
            record.trace.end(record)

    def close(self) -> None:
        """Let go of what is held: lines of the log, spans."""
        if self.access_log is not None:
            self.access_log.close()
        if self.traces is not None:
            self.traces.close()


def face_of(path: str) -> str:
    """Which face of the gateway stands at an address."""
    if path == "/graphql":
        return "graphql"
    return "rest" if path.startswith("/v1/") else "probe" if path in PROBES else "other"
