"""Log lines: one a request, as JSON or text, with nothing in them that a client or a database keeps to itself."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from gateway.execution.redacted import normalised
from gateway.observability import configure_logging, request_id
from gateway.observability.logs import Json, TextFormatter
from gateway.observability.record import exchange
from gateway.observability.recorder import Recorder
from gateway.observability.request_log import HELD_LINES
from gateway.settings import ObservabilitySettings
from tests.support.asking import DOCUMENTS
from tests.support.edge import BATCH, KEY, ask, furnished
from tests.support.edge import gateway as gateway_with

MARK = "xyzzy-71803"
SECRETIVE = f"""
# {MARK}
query Secretive($text: String = "{MARK}", $page: Int! = 7) {{
  batches(first: $page, filter: {{ callbackDeliveries: {{ some: {{ statusCode: {{ in: ["{MARK}", $text] }} }} }} }}) {{
    nodes {{ id }}
  }}
  batch(id: "{MARK}") {{ id }}
}}
"""


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return furnished(sqlite_template, tmp_path)


gateway = partial(gateway_with, log_format="json")


class Lines(logging.Handler):
    """Keeps lines as a formatter writes them, and those that went to stderr."""

    def __init__(self, formatter: logging.Formatter, stderr: pytest.CaptureFixture[str]) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.stderr = stderr
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        self._lines += self.stderr.readouterr().err.splitlines()
        return self._lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "httpx":  # the test's own client
            self._lines.append(self.format(record))

    def of(self, logger: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.lines) if line["logger"] == logger]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """What is logged meanwhile, as JSON."""
    handler, root = Lines(Json(), capsys), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def record(message: str, **extra: Any) -> logging.LogRecord:
    return logging.getLogger("gateway.test").makeRecord(
        "gateway.test", logging.INFO, "", 0, message, (), None, None, extra
    )


async def test_a_request_is_one_line(url: str, written: Lines) -> None:
    async with gateway(url) as client:
        answer = await client.post(
            "/graphql?a=secret",
            json={"query": "query Mine { batches(first: 1) { nodes { id } } }"},
            headers={"X-Request-Id": "r-1"},
        )
    (line,) = written.of("access")
    assert line == {
        "time": ANY,
        "level": "INFO",
        "logger": "access",
        "message": "answered",
        "request_id": "r-1",
        "face": "graphql",
        "method": "POST",
        "path": "/graphql",
        "status": 200,
        "code": "OK",
        "duration_ms": ANY,
        "operation": "Mine",
        "planned": ANY,
        "statements": 2,  # the key's, and the batches'
        "rows": ANY,
        "bytes": len(answer.content),
        "key": ANY,
    }
    assert line["duration_ms"] > 0
    assert re.fullmatch(r"[0-9a-f-]{36}", line["key"])


async def test_a_rest_request_is_one_line_and_probes_are_none(url: str, written: Lines) -> None:
    async with gateway(url) as client:
        await client.get(f"/v1/batches/{BATCH}/callback?token={MARK}")
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200
        await client.get("/v1/batches/none/callback")
    lines = written.of("access")
    assert [(line["face"], line["status"], line["code"]) for line in lines] == [
        ("rest", 200, "OK"),
        ("rest", 422, "VALIDATION_ERROR"),
    ]
    assert lines[0]["path"] == f"/v1/batches/{BATCH}/callback"


class Stderr(io.StringIO):
    """Tells when something is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.was_written = asyncio.Event()

    def write(self, text: str) -> int:
        self.was_written.set()
        return super().write(text)


@pytest.mark.usefixtures("written")
async def test_lines_wait_for_others_but_neither_for_long_nor_in_vain(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = Stderr()
    monkeypatch.setattr("sys.stderr", stderr)
    async with gateway(url) as client:
        await ask(client, "{ __typename }")
        await ask(client, "{ __typename }")
        assert not stderr.was_written.is_set()
        await stderr.was_written.wait()
        assert stderr.getvalue().count("\n") == 2
        for _ in range(HELD_LINES + 1):
            await ask(client, "{ __typename }")
        assert stderr.getvalue().count("\n") >= 2 + HELD_LINES
    assert stderr.getvalue().count("\n") == 2 + HELD_LINES + 1


async def test_a_line_for_people_has_its_fields_as_words(url: str, written: Lines) -> None:
    async with gateway_with(url) as client:
        await client.get('/a b"c=d', headers={"X-Request-Id": "r=1"})
    (line,) = written.lines
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO access answered "
        r'request_id="r=1" face=other method=GET path="/a b\\"c=d" status=404 code=NOT_FOUND duration_ms=[\d.]+ '
        r"operation= planned=False statements=0 rows=0 bytes=\d+ key=",
        line,
    )


async def test_nobody_reads_stderr(url: str, written: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    async with gateway(url) as client:
        assert (await ask(client, "{ __typename }")).status_code == 200
    monkeypatch.undo()
    assert written.of("access") == []


async def test_the_access_log_can_be_switched_off(url: str, written: Lines) -> None:
    async with gateway(url, access_log=False) as client:
        assert (await ask(client, "{ __typename }")).status_code == 200
    assert written.of("access") == []


async def test_with_everything_off_no_record_is_kept(url: str, written: Lines) -> None:
    async with gateway(url, access_log=False, slow_seconds=0, metrics=False) as client:
        before = exchange.get()
        assert (await ask(client, "{ __typename }")).status_code == 200
        assert exchange.get() is before
    assert written.of("access") == written.of("slow") == []


async def test_a_slow_operation_is_a_warning_with_its_document(url: str, written: Lines) -> None:
    async with gateway(url, slow_seconds=1e-9) as client:
        await ask(client, f'query Mine {{ batch(id: "{BATCH}") {{ id }} }}')
    (line,) = written.of("slow")
    assert line["level"] == "WARNING"
    assert line["operation"] == "Mine"
    assert line["document"] == 'query Mine {\n  batch(id: "") {\n    id\n  }\n}'
    assert line["statements"] == 2
    assert line["duration_ms"] > 0


@pytest.mark.parametrize(("answered_after", "lines"), [(4.0, 0), (6.0, 1)])
def test_a_client_that_takes_long_to_read_makes_nothing_slow(written: Lines, answered_after: float, lines: int) -> None:
    recorder = Recorder(ObservabilitySettings(access_log=False, slow_seconds=5))
    record = recorder.begin("GET", f"/v1/batches/{BATCH}/callback", ())
    record.started -= 10
    record.begun = record.started + answered_after
    record.status = 200
    recorder.end(record)
    assert len(written.of("slow")) == lines


async def test_nothing_is_slow_where_that_is_switched_off(url: str, written: Lines) -> None:
    async with gateway(url, slow_seconds=0) as client:
        await ask(client, "{ __typename }")
    assert written.of("slow") == []


@pytest.mark.parametrize("profile", ["production", "development"])
async def test_no_value_and_no_secret_is_in_a_log_line_or_a_metric(url: str, written: Lines, profile: str) -> None:
    async with gateway(url, profile, slow_seconds=1e-9, log_level="DEBUG") as client:
        logging.getLogger().setLevel(logging.INFO)
        headers = {"X-Note": MARK, "Cookie": MARK, "User-Agent": MARK, "Referer": f"http://{MARK}/"}
        for authorization in (f"Bearer {KEY}", f"Bearer {MARK}", MARK):
            for query in (SECRETIVE, f'{{ batch(id: "{MARK}") {{ {"nothing"} }} }}', f'{{ batch("{MARK}'):
                await client.post(
                    f"/graphql?note={MARK}",
                    json={"query": query, "variables": {"text": MARK, "unknown": [MARK]}},
                    headers={**headers, "Authorization": authorization},
                )
            await client.get("/graphql", params={"query": SECRETIVE}, headers={"Authorization": authorization})
            await client.get(f"/v1/batches/{BATCH}/callback", params={"note": MARK}, headers={**headers})
        metrics = (await client.get("/metrics")).text
    lines = written.of("access")
    assert len(lines) == 15
    assert len([line for line in written.of("slow") if line["face"] != "probe"]) == 15
    assert "Secretive" in {line["operation"] for line in lines}
    assert MARK not in "\n".join(written.lines)
    assert KEY not in "\n".join(written.lines)
    assert MARK not in metrics
    assert KEY not in metrics


def test_a_normalised_document_holds_names_only() -> None:
    document = DOCUMENTS.check(
        'query A($p: Int! = 5, $i: [ID!] = ["a"]) @skip(if: false) '
        "{ batches(first: $p, filter: { callbackDeliveries: { some: {} } }) "
        '{ n: nodes { id ...F } } nodes(ids: ["b"]) { id } more: nodes(ids: $i) { id } } '
        "fragment F on Batch { callbackDeliveries(first: 3) { id } } # gone"
    ).document
    assert document is None  # @skip is not for queries: what is not valid has no document
    valid = DOCUMENTS.check(
        '"""What for""" query A($p: Int! = 5, "of" $i: [ID!]! = ["a"]) '
        "{ batches(first: $p, filter: { callbackDeliveries: { some: {} } }) { n: nodes { ...F } } "
        '  nodes(ids: ["b"]) { id } more: nodes(ids: $i) { id } } # gone\n'
        "fragment F on Batch { callbackDeliveries(first: 3) { id } }"
    ).document
    assert valid is not None
    assert re.sub(r"\s+", " ", normalised(valid)) == (
        "query A($p: Int! = 0, $i: [ID!]! = []) { batches(first: $p, filter: { }) { n: nodes { ...F } } "
        "nodes(ids: []) { id } more: nodes(ids: $i) { id } } "
        "fragment F on Batch { callbackDeliveries(first: 0) { id } }"
    )


def test_a_json_line_has_its_fields_and_the_exception_in_one() -> None:
    line = record("hello\nworld", number=5, level="mine")
    try:
        raise ValueError("no\nway")
    except ValueError as failure:
        line.exc_info = (type(failure), failure, failure.__traceback__)
    token = request_id.set("r-2")
    text = Json().format(line)
    request_id.reset(token)
    assert "\n" not in text
    written = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", written.pop("time"))
    assert written.pop("exception").startswith("Traceback ")
    assert written == {
        "level": "INFO",
        "logger": "gateway.test",
        "message": "hello\nworld",
        "request_id": "r-2",
        "number": 5,
    }


def test_a_text_line_has_fields_that_cannot_forge_another() -> None:
    text = TextFormatter().format(record("hello", path='/a b\n2026 INFO access x="1"', number=5))
    assert text.endswith(r' INFO gateway.test hello path="/a b\n2026 INFO access x=\"1\"" number=5')
    assert "\n" not in text


@pytest.mark.parametrize(
    ("form", "shape"), [("json", r"\{.*\}\n"), ("text", r"\d{4}-.* WARNING gateway.test careful\n")]
)
def test_lines_go_to_stderr_in_the_form_asked_for(form: str, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    handlers, level, stderr = root.handlers[:], root.level, io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    root.handlers = []
    try:
        configure_logging("WARNING", form)
        logging.getLogger("gateway.test").info("quiet")
        logging.getLogger("gateway.test").warning("careful")
    finally:
        root.handlers = handlers
        root.setLevel(level)
    assert re.fullmatch(shape, stderr.getvalue())
