"""What is counted, for Prometheus. Every label has a bounded set of values, whatever clients send."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.errors import ClientError, GatewayError, LimitExceeded, OperatorError, RateLimited, RequestFailed
from gateway.observability.shared_counters import Name, SharedCounters, Total, mark_dead

FACES = frozenset({"graphql", "rest", "probe", "other"})
OK = "OK"
CLIENT_GONE = "CLIENT_GONE"  # nobody waited for the answer
OTHER = "other"
OTHER_CODE = "OTHER"
NAMES = 100  # operations, and keys, that one process tells apart
LONGEST_LABEL = 100  # characters of such a name
PUBLISHED_SECONDS = 1.0  # how old what is known of another worker's pool and caches may be
SUM = "sum"
NOTHING = Total()

REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LAG_BUCKETS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 120.0)
TRANSPORTS = ("sse", "multipart", "websocket")
STATEMENT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric as Prometheus knows it; one with `buckets` is a histogram of seconds.

    A gauge is the sum over the workers, or the largest where what they see is the `same` for all.
    """

    name: str
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    same: bool = False

    @property
    def kind(self) -> str:
        """`counter`, `gauge` or `histogram`."""
        return "histogram" if self.buckets else "counter" if self.name.endswith("_total") else "gauge"

    @property
    def bounds(self) -> tuple[str, ...]:
        """The buckets as they are written."""
        return (*(str(bound) for bound in self.buckets), "+Inf")


FAMILIES = {
    family.name: family
    for family in (
        Family("gateway_requests_total", "Requests answered.", ("face", "operation", "planned", "code")),
        Family("gateway_request_seconds", "How long requests took.", ("face", "planned"), REQUEST_BUCKETS),
        Family("gateway_operation_seconds_total", "How long the requests of an operation took.", ("operation",)),
        Family("gateway_statement_seconds", "How long SQL statements of requests took.", (), STATEMENT_BUCKETS),
        Family("gateway_rows_total", "Rows that SQL statements of requests returned."),
        Family("gateway_limits_hit_total", "Requests refused by a limit.", ("code",)),
        Family("gateway_legacy_requests_total", "Requests to the REST endpoint.", ("key",)),
        Family("gateway_streams", "Streams of events that are open.", ("transport",)),
        Family("gateway_stream_events_total", "Events sent over streams.", ("transport",)),
        Family("gateway_watched_tables", "Tables of organizations that are looked at for changes."),
        Family(
            "gateway_change_lag_seconds",
            "How long after its own time a change was told to its watchers.",
            (),
            LAG_BUCKETS,
        ),
        Family("gateway_pool_size", "Connections that may be open to the database."),
        Family("gateway_pool_in_use", "Connections that run a statement."),
        Family("gateway_pool_waiting", "Statements that wait for a connection."),
        Family("gateway_database_up", "Whether a server of the database answers.", ("role", "server"), same=True),
        Family("gateway_replica_lag_seconds", "How far a replica is behind the primary.", ("server",), same=True),
        Family("gateway_cache_entries", "What a cache holds.", ("cache",)),
        Family("gateway_cache_hits_total", "What was found in a cache.", ("cache",)),
        Family("gateway_cache_misses_total", "What was not found in a cache.", ("cache",)),
        Family("gateway_redeliveries_total", "Redeliveries asked for, by what came of them.", ("outcome",)),
        Family("gateway_redelivery_seconds", "How long redeliveries took.", (), REQUEST_BUCKETS),
        Family("gateway_exports_total", "Exports that have ended.", ("list", "format", "outcome")),
        Family("gateway_export_rows_total", "Rows that were exported."),
        Family("gateway_exports_under_way", "Exports that are under way."),
        Family("gateway_worker_restarts_total", "Workers that died and were replaced."),
    )
}


def _tree(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


BRANCHES = {
    GatewayError,
    RequestFailed,
    ClientError,
    LimitExceeded,
    OperatorError,
}  # errors are always of a kind below these
CODES = frozenset({kind.code for kind in _tree(GatewayError) if kind not in BRANCHES} | {OK, CLIENT_GONE})
LIMITS = frozenset({kind.code for kind in _tree(LimitExceeded) if kind not in BRANCHES} | {RateLimited.code})


class Metrics(Collector):
    """What one app counts; with a `folder`, what all processes count that share it.

    `codes` are those that errors may have beside the ones of the tree.
    """

    def __init__(self, folder: Path | None = None, codes: Collection[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._folder = folder
        self._cells = SharedCounters(folder)
        self._values = self._cells.values
        self._codes = CODES | frozenset(codes)
        self._operations = {""}
        self._keys: set[str] = set()
        self._requests: dict[tuple[str, str, bool, str], tuple[int, int, int, int]] = {}
        self._known: dict[Name, int] = {}
        self._watched: list[tuple[int, Callable[[], float]]] = []
        self._statement = self._histogram("gateway_statement_seconds")
        self._rows = self._cell("gateway_rows_total")
        self._restarts = self._cell("gateway_worker_restarts_total")
        self._lag = self._histogram("gateway_change_lag_seconds")
        self._events = {name: self._cell("gateway_stream_events_total", name) for name in TRANSPORTS}

    def request(self, face: str, operation: str, planned: bool, code: str, seconds: float) -> None:
        """Count a request that has been answered.

        A name that was not seen yet is told apart from others where the request went well, so that what is refused
        leaves no trace of its own.
        """
        cells = self._requests.get((face, operation, planned, code))
        if cells is None:
            cells = self._place(face, operation, planned, code)
        count, histogram, total, limit = cells
        values = self._values
        values[count] += 1
        values[histogram + bisect_left(REQUEST_BUCKETS, seconds)] += 1
        values[histogram - 1] += seconds
        values[total] += seconds
        if limit:
            values[limit] += 1

    def statement(self, seconds: float, rows: int) -> None:
        """Count a statement that a request has made."""
        values = self._values
        values[self._statement + bisect_left(STATEMENT_BUCKETS, seconds)] += 1
        values[self._statement - 1] += seconds
        values[self._rows] += rows

    def event(self, transport: str) -> None:
        """Count an event that was sent over a stream."""
        self._values[self._events[transport]] += 1

    def change(self, lag: float) -> None:
        """Count a change that is told to its watchers, so many seconds after its own time."""
        values = self._values
        values[self._lag + bisect_left(LAG_BUCKETS, lag)] += 1
        values[self._lag - 1] += max(lag, 0.0)

    def legacy(self, key: str) -> None:
        """Count a request to the REST endpoint by a key's id."""
        self._values[self._cell("gateway_legacy_requests_total", self._bounded(self._keys, key))] += 1

    def redelivery(self, outcome: str, seconds: float) -> None:
        """Count a redelivery; `outcome` is one of a few words."""
        values = self._values
        values[self._cell("gateway_redeliveries_total", outcome)] += 1
        histogram = self._histogram("gateway_redelivery_seconds")
        values[histogram + bisect_left(REQUEST_BUCKETS, seconds)] += 1
        values[histogram - 1] += seconds

    def export(self, name: str, format_: str, outcome: str, rows: int) -> None:
        """Count an export that has ended; `outcome` is `complete` or `broken`."""
        self._values[self._cell("gateway_exports_total", name, format_, outcome)] += 1
        self._values[self._cell("gateway_export_rows_total")] += rows

    def watch(self, name: str, read: Callable[[], float], *labels: str) -> None:
        """Show a number that somebody else keeps, read when it is asked for."""
        self._watched.append((self._cell(name, *labels), read))

    def worker_ended(self, pid: int) -> None:
        """Note that a worker died and is replaced."""
        self._values[self._restarts] += 1
        if self._folder is not None:
            mark_dead(self._folder, pid)

    async def publish(self) -> None:
        """Let the other processes see what is watched here; to be called now and then."""
        for cell, read in self._watched:
            self._values[cell] = read()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that a scraper accepts, and its media type."""
        encode, media = choose_encoder(accept)
        return encode(self.registry), media

    def collect(self) -> Iterator[Metric]:
        """All metrics, of all processes."""
        for cell, read in self._watched:
            self._values[cell] = read()
        found: dict[str, dict[Name, dict[str, Total]]] = {name: {} for name in FAMILIES}
        for (name, part, *labels), numbers in self._cells.totals().items():
            found[name].setdefault(tuple(labels), {})[part] = numbers
        for family in FAMILIES.values():
            yield _metric(family, found[family.name])

    def _place(self, face: str, operation: str, planned: bool, code: str) -> tuple[int, int, int, int]:
        """The cells of requests of this kind: their number, histogram, seconds of the operation, limit."""
        known = code if code in self._codes else OTHER_CODE
        bounded = self._bounded(self._operations, operation) if code == OK or operation in self._operations else OTHER
        place = face if face in FACES else OTHER, bounded, planned, known
        cells = self._requests.get(place)
        if cells is None:
            planned_ = str(planned).lower()
            cells = self._requests[place] = (
                self._cell("gateway_requests_total", place[0], bounded, planned_, known),
                self._histogram("gateway_request_seconds", place[0], planned_),
                self._cell("gateway_operation_seconds_total", bounded),
                self._cell("gateway_limits_hit_total", known) if known in LIMITS else 0,
            )
        return cells

    def _bounded(self, names: set[str], name: str) -> str:
        if name in names:
            return name
        if len(names) >= NAMES or len(name) > LONGEST_LABEL:
            return OTHER
        names.add(name)
        return name

    def _cell(self, name: str, *labels: str) -> int:
        key = (name, "", *labels)
        cell = self._known.get(key)
        if cell is None:
            cell = self._known[key] = self._cells.new([key])
        return cell

    def _histogram(self, name: str, *labels: str) -> int:
        """The first bucket's cell; the sum's stands before it."""
        key = (name, "", *labels)
        cell = self._known.get(key)
        if cell is None:
            parts = [SUM, *FAMILIES[name].bounds]
            cell = self._known[key] = self._cells.new([(name, part, *labels) for part in parts]) + 1
        return cell


def _metric(family: Family, found: dict[Name, dict[str, Total]]) -> Metric:
    metric: Metric
    if family.buckets:
        metric = HistogramMetricFamily(family.name, family.text, labels=family.labels)
        for labels, parts in found.items():
            buckets, count = [], 0.0
            for bound in family.bounds:
                count += parts.get(bound, NOTHING).ever
                buckets.append((bound, count))
            metric.add_metric(labels, buckets, parts.get(SUM, NOTHING).ever)
        return metric
    if family.kind == "gauge":
        metric = GaugeMetricFamily(family.name, family.text, labels=family.labels)
    else:
        metric = CounterMetricFamily(family.name, family.text, labels=family.labels)
    for labels, parts in found.items():
        ever, now, most = parts[""]
        metric.add_metric(labels, ever if family.kind == "counter" else most if family.same else now)
    return metric
