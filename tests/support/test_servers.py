"""The servers that tests bring along do what their tests rely on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.commands import has_ended
from tests.support.documentation import ROOT
from tests.support.pooler import pooling
from tests.support.servers import Server, free_port, pgbouncer, postgres_server

pytestmark = pytest.mark.postgresql
TEST = """
import sys
from tests.support.servers import postgres_server
with postgres_server() as server:
    print(server.folder, server._pid.read_text().split()[0], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server() as server:
        server.sql("CREATE TABLE numbers (n integer); INSERT INTO numbers VALUES (1)")
        yield server


def test_a_server_comes_back_with_its_rows_after_a_stop_and_after_a_kill(server: Server) -> None:
    server.stop()
    assert not server.is_running
    server.start()
    server.kill()
    assert not server.is_running
    server.start()
    assert server.sql("SELECT n FROM numbers") == "1"


def test_a_replica_streams_what_is_committed(server: Server) -> None:
    with server.replica() as replica:
        server.sql("INSERT INTO numbers VALUES (2)")
        replica.catch_up(server)
        assert replica.sql("SELECT n, pg_is_in_recovery() FROM numbers ORDER BY n") == "1|t\n2|t"


def test_a_pooler_lends_one_connection_to_many(server: Server) -> None:
    with pgbouncer(server, default_pool_size=1) as pooler:
        behind = Server(server.folder, pooler.port)
        assert behind.sql("SELECT pg_backend_pid()") == behind.sql("SELECT pg_backend_pid()")


def test_a_pooler_that_stands_in_lends_one_connection_to_many(server: Server) -> None:
    port = free_port()
    with pooling(server.port, port, size=1):
        behind = Server(server.folder, port)
        number = behind.sql("SELECT pg_backend_pid()")
        assert behind.sql("BEGIN; SELECT n FROM numbers LIMIT 1; COMMIT; SELECT pg_backend_pid()") == f"1\n{number}"
        server.sql(f"SELECT pg_terminate_backend({number})")
        assert behind.sql("SELECT n FROM numbers LIMIT 1") == "1"


def test_servers_end_with_their_test_when_that_is_killed() -> None:
    test = subprocess.Popen(
        [sys.executable, "-c", TEST],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert test.stdout is not None
    folder, process = test.stdout.readline().split()
    server = psutil.Process(int(process))
    (heir,) = psutil.Process(test.pid).children()
    test.kill()
    test.communicate()
    assert has_ended(server)
    assert has_ended(heir)
    assert not Path(folder).exists()
