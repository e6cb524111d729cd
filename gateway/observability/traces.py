"""OpenTelemetry traces: a span for each request and one for each of its statements. Needs the extra `telemetry`.

The names are those of the semantic conventions. The standard `OTEL_*` variables say where spans go and which are kept.
"""

import os
import time
from collections.abc import Iterable
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AnyValue

from gateway import __version__
from gateway.observability.exchange import Exchange

CONTEXT = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
SECONDS_TO_STOP = 2.0  # for what was not sent yet

Headers = Iterable[tuple[bytes, bytes]]


class Trace:
    """The span of one request."""

    def __init__(self, traces: "Traces", span: Span) -> None:
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

    def end(self, exchange: Exchange) -> None:
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


class Traces:
    """Begins spans of a `provider`. `database` is the name that the conventions give the database."""

    def __init__(self, provider: TracerProvider, database: str) -> None:
        self.provider = provider
        self.database = database
        self.tracer = provider.get_tracer("gateway", __version__)
        self.propagator = TraceContextTextMapPropagator()

    def begin(self, headers: Headers) -> Trace:
        """The span of a request, in the trace that its headers name."""
        carrier = {CONTEXT[name]: value.decode("latin-1") for name, value in headers if name in CONTEXT}
        context = self.propagator.extract(carrier) if carrier else None
        return Trace(self, self.tracer.start_span("request", context, SpanKind.SERVER))

    def close(self) -> None:
        """Send what was not sent yet; a collector that does not answer is not waited for."""
        closing = Thread(target=self.provider.shutdown, daemon=True)
        closing.start()
        closing.join(SECONDS_TO_STOP)


def traces(database: str) -> Traces:
    """Traces as the `OTEL_*` variables want them, sent by OTLP over HTTP."""
    attributes = {} if SERVICE_NAME in _named() else {SERVICE_NAME: "callback-gateway"}
    provider = TracerProvider(resource=Resource.create(attributes))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, database)


def _named() -> set[str]:
    """The attributes that variables give the resource."""
    named = {pair.partition("=")[0].strip() for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")}
    return named | ({SERVICE_NAME} if os.environ.get("OTEL_SERVICE_NAME") else set())
