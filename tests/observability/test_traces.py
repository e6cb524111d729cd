"""Traces: a span for each request and each of its statements, in the client's trace, with no value in them."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind

from gateway.app import create_app
from gateway.errors import TelemetryMissing
from gateway.observability.traces import OpenTelemetryTraces, traces
from tests.observability.test_logs import MARK, SECRETIVE
from tests.support.edge import BATCH, KEY, ask, furnished, gateway, settings

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MINE = f'query Mine {{\n  batch(id: "{BATCH}") {{\n    callbackDeliveries {{\n      id\n    }}\n  }}\n}}'
PARENTS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return furnished(sqlite_template, tmp_path)


@asynccontextmanager
async def traced(url: str, **options: Any) -> AsyncIterator[tuple[httpx.AsyncClient, InMemorySpanExporter]]:
    """A client of a gateway, and the spans that it makes."""
    app, kept = create_app(settings(url)), InMemorySpanExporter()
    app.recorder.traces = OpenTelemetryTraces("sqlite", SimpleSpanProcessor(kept), **options)  # type: ignore[attr-defined]
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers) as client,
    ):
        yield client, kept


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


async def test_an_operation_is_a_span_and_each_statement_one_below_it(url: str) -> None:
    async with traced(url) as (client, kept):
        await ask(client, MINE)
        *statements, operation = kept.get_finished_spans()
    assert (operation.name, operation.kind, operation.parent) == ("query", SpanKind.SERVER, None)
    assert dict(attributes(operation)) == {
        "http.request.method": "POST",
        "url.path": "/graphql",
        "http.response.status_code": 200,
        "graphql.operation.type": "query",
        "graphql.operation.name": "Mine",
        "graphql.document": MINE.replace(BATCH, ""),
        "gateway.face": "graphql",
        "gateway.planned": attributes(operation)["gateway.planned"],
        "gateway.statements": len(statements),
        "gateway.rows": sum(attributes(span)["db.response.returned_rows"] for span in statements),
    }
    assert len(statements) == 3  # the key, the batch, its deliveries
    assert {span.parent and span.parent.span_id for span in statements} == {operation.context.span_id}
    assert {span.kind for span in statements} == {SpanKind.CLIENT}
    assert all(span.start_time <= span.end_time for span in statements if span.start_time and span.end_time)


async def test_a_statement_says_what_it_does_to_which_table(url: str) -> None:
    async with traced(url) as (client, kept):
        await ask(client, f'{{ batch(id: "{BATCH}") {{ id }} }}')
        _key, batch, _operation = kept.get_finished_spans()
    assert batch.name == "SELECT batches"
    assert dict(attributes(batch)) == {
        "db.system.name": "sqlite",
        "db.query.summary": "SELECT batches",
        "db.response.returned_rows": 1,
    }


async def test_the_client_s_trace_is_continued_and_comes_back(url: str) -> None:
    async with traced(url) as (client, kept):
        answer = await client.get(f"/v1/batches/{BATCH}/callback", headers=PARENTS)
        request = kept.get_finished_spans()[-1]
    assert request.parent is not None
    assert f"{request.parent.trace_id:032x}-{request.parent.span_id:016x}" == f"{TRACE}-{PARENT}"
    assert answer.headers["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"
    assert answer.headers["tracestate"] == "vendor=1"
    assert request.name == "GET"


@pytest.mark.parametrize("brought", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", "\xff" * 55])
async def test_a_trace_context_that_is_none_begins_a_new_trace(url: str, brought: str) -> None:
    async with traced(url) as (client, kept):
        answer = await client.get("/healthz", headers={b"traceparent": brought.encode("latin-1")})
        (request,) = kept.get_finished_spans()
    assert request.parent is None
    assert answer.headers["traceparent"][:-3] == f"00-{request.context.trace_id:032x}-{request.context.span_id:016x}"


async def test_failures_have_an_error_type(url: str) -> None:
    async with traced(url) as (client, kept):
        await ask(client, "{ nothing }")
        await client.get("/v1/batches/none/callback")
        unfit, invalid = (span for span in kept.get_finished_spans() if span.kind is SpanKind.SERVER)
    assert attributes(unfit)["error.type"] == "GRAPHQL_VALIDATION_FAILED"
    assert attributes(invalid)["error.type"] == "VALIDATION_ERROR"
    assert attributes(invalid)["http.response.status_code"] == 422


async def test_no_value_and_no_secret_is_in_a_span(url: str) -> None:
    async with traced(url) as (client, kept):
        for query in (SECRETIVE, f'{{ batch("{MARK}'):
            body = {"query": query, "variables": {"text": MARK}}
            await client.post(f"/graphql?note={MARK}", json=body, headers={"X-Note": MARK, "Cookie": MARK})
        await client.get(f"/v1/batches/{BATCH}/callback", params={"note": MARK})
        await client.get("/graphql", params={"query": SECRETIVE}, headers={"Authorization": f"Bearer {MARK}"})
        spans = [span.to_json() for span in kept.get_finished_spans()]
    assert any("Secretive" in span for span in spans)
    assert not any(MARK in span or KEY in span for span in spans)


async def test_what_is_not_sampled_costs_no_statement_spans_and_still_goes_on(url: str) -> None:
    async with traced(url, sampler=ALWAYS_OFF) as (client, kept):
        answer = await client.get("/readyz", headers=PARENTS)
    assert kept.get_finished_spans() == ()
    assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert answer.headers["traceparent"].endswith("-00")


async def test_answers_name_the_traces_that_are_kept(url: str) -> None:
    async with traced(url, sampler=ParentBasedTraceIdRatio(0.5)) as (client, kept):
        said = [(await client.get("/healthz")).headers.get("traceparent") for _ in range(40)]
    spans = [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}" for span in kept.get_finished_spans()]
    assert [name[:-3] for name in said if name is not None] == spans
    assert 0 < len(set(spans)) == len(spans) < len(said)


@pytest.mark.parametrize(("sampler", "least", "most"), [(None, 1, 50), ("always_on", 1_000, 1_000)])
def test_one_in_a_hundred_is_kept_unless_a_variable_says_otherwise(
    sampler: str | None, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    if sampler is None:
        monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    else:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    made = traces("sqlite")
    assert least <= sum(made.begin(()) is not None for _ in range(1_000)) <= most
    continued = made.begin([(b"traceparent", PARENTS["traceparent"].encode())])
    assert continued is not None
    assert continued.recording
    made.close()


async def test_without_telemetry_no_answer_has_a_trace(url: str) -> None:
    async with gateway(url) as client:
        answer = await client.get("/healthz", headers=PARENTS)
    assert "traceparent" not in answer.headers


async def test_spans_go_where_the_standard_variables_say(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        thread = Thread(target=collector.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        try:
            async with gateway(url, telemetry=True) as client:
                await ask(client, "query Mine { __typename }")
        finally:
            collector.shutdown()
            thread.join()
    ((path, body),) = received
    assert path == "/v1/traces"
    for text in (b"graphql.operation.name", b"Mine", b"callback-gateway", b"deployment.environment.name"):
        assert text in body


def test_telemetry_without_what_it_needs_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.observability.traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TelemetryMissing, match=r"pip install 'callback-gateway\[telemetry\]'\.$"):
        create_app(settings(url, telemetry=True))
