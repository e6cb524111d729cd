"""What a connection may send: heads that are too large, requests that are none, and bodies that nobody waits for.

Real sockets on a real server, in this process.
"""

import http.client
import json
import select
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.app import create_app
from gateway.http import protocol
from gateway.http.protocol import MOST_HEADERS, limited_to
from tests.support.edge import BATCH, JSON, KEY, furnished, settings
from tests.support.serving import serving

PATIENCE = 10  # seconds that no test needs, unless it fails
LIMIT = 8_192
LARGE = 10 << 20
REST = f"/v1/batches/{BATCH}/callback"
FACES = pytest.mark.parametrize("path", ["/graphql", REST])
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
QUERY = b'{"query":"{ __typename }"}'
ANSWER = {"data": {"__typename": "Query"}}
HOST = b"Host: gateway\r\n"
KNOWN = HOST + b"Authorization: Bearer " + KEY.encode() + b"\r\nContent-Type: application/json\r\n"


@contextmanager
def listening(url: str, head_seconds: float = PATIENCE, **values: Any) -> Iterator[str]:
    with serving(create_app(settings(url, "production", **values)), limited_to(head_seconds, LIMIT)) as address:
        yield address


@pytest.fixture(scope="module")
def url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return furnished(sqlite_template, tmp_path_factory.mktemp("edge"))


@pytest.fixture(scope="module")
def gateway(url: str) -> Iterator[str]:
    with listening(url) as address:
        yield address


def connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)


class Answer:
    """The next answer on a connection."""

    def __init__(self, client: socket.socket) -> None:
        response = http.client.HTTPResponse(client)
        response.begin()
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def code(self) -> str:
        """The code of the error, as either face says it."""
        body = json.loads(self.body)
        return str(body["errors"][0]["extensions"]["code"] if "code" not in body else body["code"])


def head(path: str, method: str = "GET", headers: bytes = KNOWN) -> bytes:
    return b"%b %b HTTP/1.1\r\n%b" % (method.encode(), path.encode(), headers)


def post(body: bytes = QUERY, headers: bytes = KNOWN) -> bytes:
    return head("/graphql", "POST", headers) + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*chunks: bytes, trailers: bytes = b"", headers: bytes = KNOWN) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head("/graphql", "POST", headers) + CHUNKED + body + b"0\r\n" + trailers + b"\r\n"


def by_urllib(address: str, body: Any, headers: dict[str, str], method: str = "POST") -> tuple[int, Any]:
    """The status and the JSON of what Python's urllib is answered, which reads nothing before it has sent all."""
    request = urllib.request.Request(address, body, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def ends(client: socket.socket) -> bool:
    """Whether the server closes the connection, and says nothing more before."""
    try:
        return client.recv(1_000) == b""
    except ConnectionError:
        return True


HEADS = {
    "one header without an end": (KNOWN + b"X: " + b"a" * LIMIT, 431),
    "one name without an end": (KNOWN + b"a" * LIMIT, 431),
    "one header": (KNOWN + b"X: " + b"a" * LIMIT + b"\r\n\r\n", 431),
    "many headers without an end": (KNOWN + b"X: a\r\n" * LIMIT, 431),
    "as many headers as fit": (KNOWN + b"X: a\r\n" * (MOST_HEADERS + 1 - KNOWN.count(b"\r\n")) + b"\r\n", 431),
    "a cookie": (KNOWN + b"Cookie: " + b"a=b; " * LIMIT + b"\r\n\r\n", 431),
    "a credential": (HOST + b"Authorization: Bearer " + b"a" * LIMIT + b"\r\n\r\n", 431),
}


@FACES
@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_is_too_large_is_answered_before_it_ends(gateway: str, path: str, name: str) -> None:
    headers, status = HEADS[name]
    with connected(gateway) as client:
        client.sendall(head(path, headers=headers))
        answer = Answer(client)
        assert (answer.status, answer.code) == (status, "HEAD_LIMIT_EXCEEDED")
        assert answer.headers["Connection"] == "close"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Request-Id"]
        assert ends(client)


def test_a_limit_is_told_in_numbers(gateway: str) -> None:
    with connected(gateway) as client:
        client.sendall(head("/graphql") + b"X: a\r\n" * 200 + b"\r\n")
        answer = json.loads(Answer(client).body)
    extensions = {"code": "HEAD_LIMIT_EXCEEDED", "limit": 100, "actual": 203}
    assert answer == {"errors": [{"message": "The request has more than 100 headers.", "extensions": extensions}]}


@FACES
@pytest.mark.parametrize("end", [b"", b" HTTP/1.1\r\n" + HOST + b"\r\n"], ids=["without an end", "with an end"])
def test_an_address_that_is_too_long_is_answered_414(gateway: str, path: str, end: bytes) -> None:
    with connected(gateway) as client:
        client.sendall(b"GET " + path.encode() + b"?query=" + b"a" * LIMIT + end)
        answer = Answer(client)
        assert (answer.status, answer.code) == (414, "ADDRESS_LIMIT_EXCEEDED")
        assert ends(client)


def test_empty_lines_without_an_end_are_refused(gateway: str) -> None:
    with connected(gateway) as client:
        client.sendall(b"\r\n" * LIMIT)
        assert Answer(client).status == 431


@pytest.mark.parametrize(
    "beginning", [b"\x16\x03\x01\x02\x00", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n", b"a" * LIMIT]
)
def test_what_is_no_request_is_answered_as_an_error_is(gateway: str, beginning: bytes) -> None:
    with connected(gateway) as client:
        client.sendall(beginning)
        answer = Answer(client)
        assert answer.status == 400
        assert json.loads(answer.body)["code"] == "BAD_REQUEST"
        assert ends(client)


@pytest.mark.parametrize("size", [0, LIMIT // 2, LIMIT - 500])
def test_a_head_that_is_not_too_large_is_read(gateway: str, size: int) -> None:
    headers = KNOWN + b"X: " + b"a" * size + b"\r\n" + b"Y: a\r\n" * 50
    with connected(gateway) as client:
        for _ in range(3):
            client.sendall(post(headers=headers))
            assert json.loads(Answer(client).body) == ANSWER
        for byte in post(headers=KNOWN):
            client.sendall(bytes([byte]))
        assert json.loads(Answer(client).body) == ANSWER


def test_as_many_headers_as_are_allowed_are_read(gateway: str) -> None:
    headers = KNOWN + b"X: a\r\n" * (MOST_HEADERS - 1 - KNOWN.count(b"\r\n"))
    with connected(gateway) as client:
        client.sendall(post(headers=headers))
        assert Answer(client).status == 200


def test_a_body_is_not_counted_as_a_head(gateway: str) -> None:
    body = json.dumps({"query": "{ __typename }", "extra": "a" * 20 * LIMIT}).encode()
    with connected(gateway) as client:
        for request in (post(body), chunked(body), chunked(*(bytes([byte]) for byte in body[-LIMIT:])), post()):
            client.sendall(request)
            assert Answer(client).status in {200, 400}
        client.sendall(chunked(*(bytes([byte]) for byte in QUERY)))
        assert json.loads(Answer(client).body) == ANSWER


@pytest.mark.parametrize(
    "rest",
    [
        b"0\r\nX: " + b"a" * 3 * LIMIT,
        b"0\r\n" + b"X: a\r\n" * LIMIT,
        b"0;" + b"a" * 3 * LIMIT,
        b"1;a=" + b"a" * 3 * LIMIT,
    ],
    ids=["a trailer", "trailers", "what the last chunk says", "what a chunk says"],
)
def test_what_is_no_body_does_not_grow_behind_the_head(gateway: str, rest: bytes) -> None:
    with connected(gateway) as client:
        client.sendall(head("/graphql", "POST") + CHUNKED + rest)
        answer = Answer(client)
        assert (answer.status, answer.code) == (431, "HEAD_LIMIT_EXCEEDED")
        assert ends(client)


def test_trailers_are_no_headers(gateway: str) -> None:
    with connected(gateway) as client:
        client.sendall(chunked(QUERY, trailers=b"X-Organization-Id: nonsense\r\nX: a\r\n"))
        assert json.loads(Answer(client).body) == ANSWER
        anonymous = HOST + b"Content-Type: application/json\r\n"
        client.sendall(chunked(QUERY, trailers=b"Authorization: Bearer " + KEY.encode() + b"\r\n", headers=anonymous))
        assert Answer(client).status == 401


@pytest.mark.parametrize(
    "after", [head("/graphql") + b"X: " + b"a" * 4 * LIMIT, head("/", headers=b"") + b"\r\n", b"\x00", b"GET /\r\n\r\n"]
)
def test_requests_before_one_that_is_refused_are_answered_first(gateway: str, after: bytes) -> None:
    with connected(gateway) as client:
        client.sendall(post() + post() + after)
        said = b"".join(iter(lambda: client.recv(10_000), b""))
    assert said.count(b"HTTP/1.1 200 OK") == said.count(b'{"data":{"__typename":"Query"}}') == 2
    assert said.rindex(b"200 OK") < said.find(b"HTTP/1.1 4") or b"HTTP/1.1 4" not in said


HOSTS = {
    b"HTTP/1.1\r\n\r\n": 400,
    b"HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n": 400,
    b"HTTP/1.1\r\nHost: a\r\nX: b\r\nhost: b\r\n\r\n": 400,
    b"HTTP/1.1\r\nX-Host: a\r\n\r\n": 400,
    b"HTTP/1.1\r\nHost: a\r\n\r\n": 200,
    b"HTTP/1.1\r\nHost:\r\n\r\n": 200,
    b"HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n": 200,
    b"HTTP/1.0\r\n\r\n": 200,
    b"HTTP/1.0\r\nHost: a\r\n\r\n": 200,
    b"HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n": 400,
    b"HTTP/2.0\r\nHost: a\r\n\r\n": 400,
    b"HTTP/0.9\r\nHost: a\r\n\r\n": 400,
}


@pytest.mark.parametrize("rest", HOSTS, ids=str)
def test_a_request_names_one_host_and_a_version_that_is_spoken(gateway: str, rest: bytes) -> None:
    with connected(gateway) as client:
        client.sendall(b"GET /healthz " + rest)
        answer = Answer(client)
        assert answer.status == HOSTS[rest]
        if answer.status == 400:
            assert answer.code == "BAD_REQUEST"
            assert ends(client)


REFUSED_EARLY: dict[str, tuple[str, dict[str, str], int, str]] = {
    "too large": ("/graphql", {"Authorization": f"Bearer {KEY}", "Content-Type": JSON}, 413, "BODY_LIMIT_EXCEEDED"),
    "of another kind": (
        "/graphql",
        {"Authorization": f"Bearer {KEY}", "Content-Type": "text/plain"},
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    "without a credential": ("/graphql", {"Content-Type": JSON}, 401, "UNAUTHORIZED"),
    "without the scope": (
        "/graphql",
        {"Authorization": f"Bearer {KEY}_nothing", "Content-Type": JSON},
        403,
        "PERMISSION_DENIED",
    ),
    "of a browser on another site": (
        "/graphql",
        {"Authorization": f"Bearer {KEY}", "Content-Type": JSON, "Sec-Fetch-Site": "cross-site"},
        403,
        "CROSS_SITE_REQUEST",
    ),
    "a head that is too large": ("/graphql", {"X": "a" * 2 * LIMIT}, 431, "HEAD_LIMIT_EXCEEDED"),
    "a method that is not there": (REST, {"Authorization": f"Bearer {KEY}"}, 405, "METHOD_NOT_ALLOWED"),
    "a head that is too large for REST": (REST, {"X": "a" * 2 * LIMIT}, 431, "HEAD_LIMIT_EXCEEDED"),
    "an address that is not there": ("/nowhere", {}, 404, "NOT_FOUND"),
}


@pytest.mark.parametrize("name", REFUSED_EARLY)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "chunked"])
def test_a_client_that_sends_on_can_read_why_it_is_refused(gateway: str, name: str, is_chunked: bool) -> None:
    path, headers, status, code = REFUSED_EARLY[name]
    body: Any = iter([b" " * (1 << 20)] * 10) if is_chunked else b" " * LARGE
    answered, content = by_urllib(gateway + path, body, headers)
    assert answered == status
    assert (content["code"] if "code" in content else content["errors"][0]["extensions"]["code"]) == code


@pytest.mark.parametrize(("headers", "status"), [({"Authorization": f"Bearer {KEY}"}, 200), ({}, 401)], ids=str)
def test_a_get_with_a_body_that_nobody_reads_is_answered(gateway: str, headers: dict[str, str], status: int) -> None:
    assert by_urllib(gateway + REST, b" " * LARGE, headers, "GET")[0] == status


def test_one_that_asks_too_often_can_read_so_while_it_sends(url: str) -> None:
    credential = {"Authorization": f"Bearer {KEY}"}
    with listening(url, rate_limit=0.001, rate_limit_burst=1) as address:
        statuses = [by_urllib(f"{address}/graphql", b" " * LARGE, credential)[0] for _ in range(3)]
    assert statuses == [415, 429, 429]


def test_a_connection_is_kept_when_the_rest_of_a_body_is_thrown_away(gateway: str) -> None:
    with connected(gateway) as client:
        for _ in range(3):
            client.sendall(post(b" " * LARGE))
            assert Answer(client).status == 413
        client.sendall(post())
        assert json.loads(Answer(client).body) == ANSWER


def send_forever(client: socket.socket) -> int:
    """Send until the server has had enough; how many bytes went out."""
    sent = 0
    try:
        while True:
            sent += client.send(b" " * 100_000)
    except ConnectionError:
        return sent


@FACES
@pytest.mark.parametrize("keeps", [b"", b"Connection: close\r\n"], ids=["kept", "to be closed"])
@pytest.mark.parametrize(
    "framing", [b"Content-Length: 100000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n"]
)
def test_a_client_that_never_ends_is_cut_by_its_bytes(
    gateway: str, monkeypatch: pytest.MonkeyPatch, path: str, keeps: bytes, framing: bytes
) -> None:
    monkeypatch.setattr(protocol, "MOST_DISCARDED", 1 << 20)
    with connected(gateway) as client:
        client.sendall(head(path, "POST", HOST + keeps) + framing)
        assert send_forever(client) < 100 << 20  # what the kernels hold between us counts, too


def is_cut(client: socket.socket) -> bool:
    """Send a byte now and then until the connection is no more."""
    poll = select.poll()
    poll.register(client, 0)  # errors alone
    for _ in range(PATIENCE * 20):
        try:
            client.send(b" ")
        except ConnectionError:
            return True
        if poll.poll(50):
            return True
    return False


@FACES
@pytest.mark.parametrize("keeps", [b"", b"Connection: close\r\n"], ids=["kept", "to be closed"])
@pytest.mark.parametrize("begins", [b"", b" "], ids=["nothing of its body", "some of its body"])
def test_a_client_that_never_ends_is_cut_by_its_time(url: str, path: str, keeps: bytes, begins: bytes) -> None:
    with listening(url, head_seconds=0.3) as address, connected(address) as client:
        client.sendall(head(path, "POST", HOST + keeps) + b"Content-Length: 100000000000\r\n\r\n" + begins)
        assert Answer(client).status in {401, 405}
        assert is_cut(client)


def test_a_client_that_waits_for_leave_to_send_is_told_no(gateway: str) -> None:
    with connected(gateway) as client:
        client.sendall(head("/graphql", "POST") + b"Expect: 100-continue\r\nContent-Length: 10000000\r\n\r\n")
        assert Answer(client).status == 413


def test_a_broken_body_is_no_request(gateway: str) -> None:
    with connected(gateway) as client:
        client.sendall(head("/graphql", "POST") + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
        answer = Answer(client)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        assert ends(client)
