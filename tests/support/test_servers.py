"""The servers that tests bring along do what their tests rely on."""

from collections.abc import Iterator

import pytest

from tests.support.servers import Server, pgbouncer, postgres_server

pytestmark = pytest.mark.postgresql


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
