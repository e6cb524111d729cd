"""Servers that are stopped while clients are with them, and clients that take too long: real processes and sockets."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.commands import running
from tests.support.forked import Forked

PATIENCE = 30  # seconds that no test needs, unless it fails
FOREVER = "600"  # seconds that no test waits for
BODY = json.dumps({"query": "{ __typename }"}).encode()
ANSWER = {"data": {"__typename": "Query"}}
HEAD = b"POST /graphql HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


@dataclass(frozen=True)
class Served:
    process: Forked
    port: int

    def ask(self, path: str = "/graphql", body: bytes | None = BODY) -> HTTPResponse:
        """An answer on a connection of its own, read to its end."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def begin(self) -> socket.socket:
        """A request under way: the server has read its head and waits for the second half of its body."""
        client = self.connect()
        client.sendall(HEAD % len(BODY) + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(BODY[:10])
        return client

    def workers(self) -> list[psutil.Process]:
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                found += [child] if "spawn_main" in " ".join(child.cmdline()) else []
        return found

    def is_refused(self) -> bool:
        try:
            self.connect().close()
        except ConnectionError:
            return True
        return False


@contextmanager
def served(folder: Path, workers: str = "1", **settings: str) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
    arguments = ("serve", "--port", str(port), "--workers", workers, "--profile", "development")
    with running(folder, *arguments, first="startup complete", **variables) as (process, _):
        yield Served(process, port)


def finish(client: socket.socket) -> Any:
    """Send the rest of the request; its answer."""
    with client:
        client.sendall(BODY[10:])
        answer = HTTPResponse(client)
        answer.begin()
        assert answer.status == 200
        return json.load(answer)


def drip(client: socket.socket, gateway: Served) -> bytes:
    """Send a byte now and then, until the server closes the connection; what it said. Others are answered meanwhile."""
    said, until = b"", time.monotonic() + PATIENCE
    client.settimeout(0.05)
    while time.monotonic() < until:
        try:
            client.sendall(b"a")
            chunk = client.recv(10_000)
        except TimeoutError:
            assert gateway.ask().status == 200
            continue
        except ConnectionError:
            return said
        if not chunk:
            return said
        said += chunk
    pytest.fail("the connection is still open")


def wait_until(what: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until


@WORKERS
def test_a_request_under_way_is_answered_before_the_server_ends(tmp_path: Path, workers: str) -> None:
    with served(tmp_path, workers, drain_seconds="0.3") as gateway:
        client = gateway.begin()
        for process in (*gateway.workers(), gateway.process):  # as service managers do
            process.send_signal(signal.SIGTERM)
        wait_until(gateway.is_refused)
        assert finish(client) == ANSWER
        assert gateway.process.wait(PATIENCE) == 0


@WORKERS
def test_readiness_goes_first_and_requests_are_answered_until_a_second_signal(tmp_path: Path, workers: str) -> None:
    with served(tmp_path, workers, drain_seconds=FOREVER, grace_seconds=FOREVER) as gateway:
        assert gateway.ask("/readyz", None).status == 200
        under_way = gateway.begin()
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: gateway.ask("/readyz", None).status == 503)
        assert gateway.ask("/readyz", None).getheader("Connection") == "close"
        assert gateway.ask().status == 200
        assert finish(under_way) == ANSWER
        with gateway.begin():
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.process.wait(PATIENCE) == 0


def test_ctrl_c_does_not_drain_and_a_request_that_never_ends_holds_nothing_up(tmp_path: Path) -> None:
    with served(tmp_path, drain_seconds=FOREVER, grace_seconds="1") as gateway, gateway.begin():
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(PATIENCE) == 0


def test_a_worker_that_dies_is_replaced_and_none_outlives_its_parent(tmp_path: Path) -> None:
    with served(tmp_path, "2") as gateway:
        wait_until(lambda: len(gateway.workers()) == 2)
        before = gateway.workers()
        before[0].kill()
        wait_until(lambda: len(set(gateway.workers()) - set(before)) == 1)
        assert gateway.ask().status == 200
        left = gateway.workers()
        gateway.process.kill()
        assert psutil.wait_procs(left, PATIENCE)[1] == []


def test_a_connection_is_kept_for_the_next_request_as_long_as_set(tmp_path: Path) -> None:
    with served(tmp_path, keep_alive_seconds="1") as gateway, gateway.connect() as client:
        for _ in range(2):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
            answer = HTTPResponse(client)
            answer.begin()
            assert (answer.status, answer.read()) == (200, b'{"status":"ok"}')
        client.settimeout(PATIENCE)
        assert client.recv(10_000) == b""


def test_a_client_that_drips_is_hung_up_on_and_others_are_unharmed(tmp_path: Path) -> None:
    with served(tmp_path, head_seconds="0.3", deadline_seconds="0.3") as gateway:
        with gateway.connect() as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")
            assert drip(client, gateway) == b""
        with gateway.connect() as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
            assert client.recv(10_000).startswith(b"HTTP/1.1 200 ")
            client.sendall(b"GET /again")
            assert b"HTTP/1.1" not in drip(client, gateway)
        with gateway.connect() as client:
            client.sendall(HEAD % 10_000 + b"\r\n")
            said = drip(client, gateway)
            assert said.startswith(b"HTTP/1.1 408 ")
            assert b'"code":"REQUEST_TIMEOUT","limit":0.3' in said
            assert b"connection: close" in said.lower()
