"""OpenTelemetry traces: a span for each request and one for each of its statements. Needs the extra `telemetry`.

The names are those of the semantic conventions. The standard `OTEL_*` variables say where spans go and which are kept:
without `OTEL_TRACES_SAMPLER`, those of callers who keep theirs, and one in a hundred of the others.
"""

import os
import time
from collections.abc import Iterable, Iterator
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBasedTraceIdRatio, Sampler
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AnyValue

from gateway import __version__
from gateway.observability.record import RequestRecord

CONTEXT = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
REQUEST = "request"  # a span's name until its request is understood
AHEAD = 100  # requests
KEPT = 0.01  # a request that is kept costs about 0.4 ms
SECONDS_TO_EXPORT = 2.0  # for what was not sent yet

Headers = Iterable[tuple[bytes, bytes]]


class OpenTelemetryTrace:
    """The span of one request."""

    def __init__(self, traces: "OpenTelemetryTraces", span: Span) -> None:
        self.span = span
        self.recording = span.is_recording()
        self._traces = traces
        self._context = set_span_in_context(span)

    @property
    def id(self) -> str:
        """The trace's id, as 32 hexadecimal digits."""
        return format_trace_id(self.span.get_span_context().trace_id)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The W3C trace context that the answer carries."""
        carrier: dict[str, str] = {}
        self._traces.propagator.inject(carrier, self._context)
        return [(name.encode(), value.encode("latin-1")) for name, value in carrier.items()]

    def statement(self, summary: str, seconds: float, rows: int) -> None:
        """A span for a statement that has just ended."""
        if not self.recording:
            return
        now = time.time_ns()
        attributes: dict[str, AnyValue] = {
            "db.system.name": self._traces.database,
            "db.query.summary": summary,
            "db.response.returned_rows": rows,
        }
        span = self._traces.tracer.start_span(
            summary, self._context, SpanKind.CLIENT, attributes, start_time=now - int(seconds * 1e9)
        )
        span.end(now)

    def end(self, exchange: RequestRecord) -> None:
        """End the span with what is known now."""
        span = self.span
        if self.recording:
            # Names of operations are the clients': in the span's name they would be too many.
            span.update_name(exchange.kind or exchange.method)
            span.set_attributes(
                {
                    "http.request.method": exchange.method,
                    "url.path": exchange.path,
                    "http.response.status_code": exchange.status,
                    "gateway.face": exchange.face,
                    "gateway.planned": exchange.planned,
                    "gateway.statements": exchange.statements,
                    "gateway.rows": exchange.rows,
                }
            )
            if exchange.kind:
                span.set_attribute("graphql.operation.type", exchange.kind)
            if exchange.operation:
                span.set_attribute("graphql.operation.name", exchange.operation)
            if exchange.document is not None:
                span.set_attribute("graphql.document", exchange.document())
            if exchange.code != "OK":
                span.set_attribute("error.type", exchange.code)
                if exchange.status >= 500:
                    span.set_status(Status(StatusCode.ERROR))
        span.end()


class _Ids(RandomIdGenerator):
    """Random ids; the next trace's may be chosen."""

    chosen: int | None = None

    def generate_trace_id(self) -> int:
        taken, self.chosen = self.chosen, None
        return taken or super().generate_trace_id()


class OpenTelemetryTraces:
    """Begins spans, which the processor gets. `database` is the name that the conventions give the database."""

    def __init__(
        self,
        database: str,
        processor: SpanProcessor,
        *,
        sampler: Sampler | None = None,
        resource: Resource | None = None,
    ) -> None:
        self.database = database
        self.ids = _Ids()
        self.provider = TracerProvider(sampler, resource, id_generator=self.ids)
        self.provider.add_span_processor(processor)
        self.tracer = self.provider.get_tracer("gateway", __version__)
        self.propagator = TraceContextTextMapPropagator()
        self._roots = self._asked_ahead()

    def begin(self, headers: Headers) -> OpenTelemetryTrace | None:
        """The span of a request, in the trace that its headers name; None where they name none and nothing is kept."""
        carrier: dict[str, str] = {}
        for name, value in headers:
            if name in CONTEXT:
                carrier[CONTEXT[name]] = value.decode("latin-1")
        if not carrier:
            self.ids.chosen = next(self._roots)
            if self.ids.chosen is None:
                return None
        context = self.propagator.extract(carrier) if carrier else None
        return OpenTelemetryTrace(self, self.tracer.start_span(REQUEST, context, SpanKind.SERVER))

    def close(self) -> None:
        """Send what was not sent yet; a collector that does not answer is not waited for."""
        closing = Thread(target=self.provider.shutdown, daemon=True)
        closing.start()
        closing.join(SECONDS_TO_EXPORT)

    def _asked_ahead(self) -> Iterator[int | None]:
        """The ids of traces that begin here, each None where the sampler keeps nothing of it.

        It is asked before there is a span, which costs more than many an answer, and of many at once, which costs less.
        """
        random, ask = RandomIdGenerator(), self.provider.sampler.should_sample
        while True:
            ids = [random.generate_trace_id() for _ in range(AHEAD)]
            asked = [ask(None, id_, REQUEST, SpanKind.SERVER) for id_ in ids]
            yield from [None if said.decision is Decision.DROP else id_ for id_, said in zip(ids, asked, strict=True)]


def traces(database: str) -> OpenTelemetryTraces:
    """Traces as the `OTEL_*` variables want them, sent by OTLP over HTTP."""
    attributes = {} if SERVICE_NAME in _named() else {SERVICE_NAME: "callback-gateway"}
    sampler = None if os.environ.get("OTEL_TRACES_SAMPLER") else ParentBasedTraceIdRatio(KEPT)
    processor = BatchSpanProcessor(OTLPSpanExporter())
    return OpenTelemetryTraces(database, processor, sampler=sampler, resource=Resource.create(attributes))


def _named() -> set[str]:
    """The attributes that variables give the resource."""
    named = {pair.partition("=")[0].strip() for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")}
    return named | ({SERVICE_NAME} if os.environ.get("OTEL_SERVICE_NAME") else set())
