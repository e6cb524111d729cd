"""Addresses: what the gateway prints can be asked, and behind a proxy it knows how it is called."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest

from gateway.app import create_app
from gateway.cli.server import address, listening
from gateway.errors import OperatorError
from gateway.http.server import DrainingServer
from gateway.settings import Settings
from tests.support.edge import BATCH, furnished, settings

FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9", "Host": "api.example"}
WITH_A_SLASH = f"/v1/batches/{BATCH}/callback/"


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return furnished(sqlite_template, tmp_path)


@contextmanager
def serving(settings: Settings, host: str = "127.0.0.1") -> Iterator[int]:
    """The port on which our own server answers meanwhile."""
    server = DrainingServer(lambda: create_app(settings), settings)
    with listening(host, 0) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def location(port: int, host: str = "127.0.0.1") -> str | None:
    connection = HTTPConnection(host, port, timeout=30)
    connection.request("GET", WITH_A_SLASH, headers=FORWARDED)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 307
    return answer.getheader("Location")


@pytest.mark.parametrize(
    ("host", "printed"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:8000"),
        ("0.0.0.0", "http://0.0.0.0:8000"),  # noqa: S104
        ("::1", "http://[::1]:8000"),
        ("[::1]", "http://[::1]:8000"),
        ("::", "http://[::]:8000"),
        ("2001:db8::7", "http://[2001:db8::7]:8000"),
        ("::ffff:127.0.0.1", "http://[::ffff:127.0.0.1]:8000"),
        ("fe80::1%eth0", "http://[fe80::1%25eth0]:8000"),
    ],
)
def test_an_address_is_printed_as_a_url(host: str, printed: str) -> None:
    assert address(host, 8000) == printed


@IPV6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_gateway_answers_on_ipv6(url: str, host: str) -> None:
    with serving(settings(url), host) as port:
        assert location(port, "::1") == f"https://api.example{WITH_A_SLASH[:-1]}"


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("a..b", "Cannot listen on a..b:0: that is no name of a machine."),
        ("a" * 80, f"Cannot listen on {'a' * 80}:0: that is no name of a machine."),
        ("203.0.113.9", "Cannot listen on 203.0.113.9:0: Cannot assign requested address."),
        ("2001:db8::7", "Cannot listen on [2001:db8::7]:0: Cannot assign requested address."),
        ("[::1", r"Cannot listen on [[::1]:0: "),
        ("fe80::1%nowhere", "Cannot listen on [fe80::1%nowhere]:0: "),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_one_line(host: str, message: str) -> None:
    with pytest.raises(OperatorError) as refused:
        listening(host, 0)
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    ("trusted", "by_uvicorn", "scheme"),
    [
        ((), None, "https"),  # the proxy is on this machine
        (("127.0.0.0/8",), None, "https"),
        (("*",), None, "https"),
        (("10.0.0.7", "*"), None, "https"),
        (("10.0.0.0/8", "::1"), None, "http"),
        (("10.0.0.7",), "*", "http"),
        ((), "10.0.0.7", "http"),
        ((), "*", "https"),
    ],
)
def test_only_trusted_proxies_say_what_the_scheme_is(
    url: str, monkeypatch: pytest.MonkeyPatch, trusted: tuple[str, ...], by_uvicorn: str | None, scheme: str
) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if by_uvicorn is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", by_uvicorn)
    with serving(settings(url, trusted_proxies=trusted)) as port:
        assert location(port) == f"{scheme}://api.example{WITH_A_SLASH[:-1]}"
