"""Replicas: who is asked, what a server that fails costs, and how far behind an answer may be."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gateway.app import create_app
from gateway.cli.doctor import examine
from gateway.database.engine import Database
from gateway.database.migrate import migrate
from gateway.database.replicas import Affinity, Heartbeat, Replicas, WalHistory
from gateway.errors import DatabaseUnavailable, Unavailable
from gateway.settings import DatabaseSettings, Settings
from gateway.viewer import READ
from gateway.writing.api_keys import create_key
from tests.support.proxy import Proxy, proxied
from tests.support.rows import OURS, history, identifier, store
from tests.support.servers import Server, postgres_server

pytestmark = pytest.mark.postgresql
DEADLINE = 4.0
LATE = DEADLINE + 0.25
RECOVERY = 5.0
CLIENTS = 8
PORT = text("SELECT inet_server_port()")
OURS_THERE = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'callback-gateway'"
DELIVERIES = "query ($id: ID!) { batch(id: $id) { callbackDeliveryCount callbackDeliveries { id } } }"
BODY = {"query": DELIVERIES, "variables": {"id": identifier(0xBA, 1)}}


@dataclass(frozen=True)
class Cluster:
    """A primary and two replicas of it, with a little history and a key."""

    primary: Server
    replicas: list[Server]
    key: str

    @property
    def servers(self) -> list[Server]:
        """All of them, the primary first."""
        return [self.primary, *self.replicas]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres_server(max_standby_streaming_delay="0", wal_retrieve_retry_interval="200ms") as primary:
        key = asyncio.run(_furnish(primary.url()))
        with primary.replica() as first, primary.replica() as second:
            for replica in (first, second):
                replica.catch_up(primary)
            yield Cluster(primary, [first, second], key)


async def _furnish(url: str) -> str:
    database = Database(url)
    await migrate(database)
    await store(database, history(1))
    key = await create_key(database, OURS, "replicas", [READ])
    await database.close()
    return key


@pytest.fixture
async def proxies(cluster: Cluster) -> AsyncIterator[list[Proxy]]:
    """One before each server, the primary's first. Who goes through them leaves no connection behind."""
    async with (
        proxied("127.0.0.1", cluster.primary.port) as primary,
        proxied("127.0.0.1", cluster.replicas[0].port) as first,
        proxied("127.0.0.1", cluster.replicas[1].port) as second,
    ):
        yield [primary, first, second]
        for server in cluster.servers:
            await _until(lambda server=server: _says(server, OURS_THERE), ["0"])  # type: ignore[misc]


@pytest.fixture
async def database(proxies: list[Proxy]) -> AsyncIterator[Database]:
    """The cluster through the proxies."""
    url, replica_urls = _urls(proxies)
    database = Database(url, DatabaseSettings(database_replica_urls=replica_urls, database_replica_max_lag_seconds=1.0))
    yield database
    await database.close()


@pytest.fixture
async def client(cluster: Cluster, proxies: list[Proxy]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway over the cluster through the proxies."""
    url, replica_urls = _urls(proxies)
    app = create_app(
        Settings(database_url=url, database_replica_urls=replica_urls, deadline_seconds=DEADLINE, rate_limit=0)
    )
    headers = {"Authorization": f"Bearer {cluster.key}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers) as client,
    ):
        yield client


async def test_reads_are_spread_over_the_replicas(cluster: Cluster, database: Database) -> None:
    ports = [await _port(database) for _ in range(20)]
    assert {port: ports.count(port) for port in ports} == {replica.port: 10 for replica in cluster.replicas}


async def test_many_reads_at_once_are_spread_by_what_each_replica_has_to_do(
    cluster: Cluster, database: Database
) -> None:
    await _port(database)
    sleeping = text("SELECT inet_server_port() FROM pg_sleep(0.1)")
    ports = [rows[0][0] for rows in await asyncio.gather(*(database.fetch(sleeping) for _ in range(20)))]
    assert {port: ports.count(port) for port in ports} == {replica.port: 10 for replica in cluster.replicas}
    assert (database.source.pool.size, database.source.pool.in_use, database.source.pool.waiting) == (30, 0, 0)


async def test_the_reads_of_a_request_go_to_one_server(database: Database) -> None:
    seen = []
    for _ in range(4):
        affinity = Affinity()
        seen.append({await _port(database, affinity) for _ in range(5)})
    assert [len(ports) for ports in seen] == [1] * 4
    assert len(set.union(*seen)) == 2


async def test_what_must_be_new_is_read_from_the_primary(
    cluster: Cluster, database: Database, proxies: list[Proxy]
) -> None:
    assert (await database.fetch(PORT, newest=True))[0][0] == cluster.primary.port
    proxies[0].stop()
    assert await _newest_port(database) in {replica.port for replica in cluster.replicas}
    await proxies[0].start()
    await _until(lambda: _newest_port(database), [cluster.primary.port])


@pytest.mark.parametrize("fault", ["killed", "silent", "reset"])
async def test_a_replica_that_fails_under_load_costs_no_answer(
    cluster: Cluster, client: httpx.AsyncClient, proxies: list[Proxy], fault: str
) -> None:
    async with _load(client):
        if fault == "killed":
            cluster.replicas[0].kill()
            await _until_shown(client, "replica", 0, up=False)
            await asyncio.to_thread(cluster.replicas[0].start)
        elif fault == "silent":
            proxies[1].hole()
            await _until_shown(client, "replica", 0, up=False)
            proxies[1].heal()
        else:
            for _ in range(10):
                proxies[1].reset()
                await client.get("/readyz")
        await _until_shown(client, "replica", 0, up=True)


async def test_without_replicas_the_primary_is_read_and_later_they_are_again(
    cluster: Cluster, client: httpx.AsyncClient, proxies: list[Proxy], database: Database
) -> None:
    async with _load(client):
        for proxy in proxies[1:]:
            proxy.stop()
        assert await _port(database) == cluster.primary.port
        await _until_shown(client, "replica", 1, up=False)
        for proxy in proxies[1:]:
            await proxy.start()
        await _until(lambda: _port(database), [replica.port for replica in cluster.replicas])
        await _until_shown(client, "replica", 1, up=True)


@pytest.mark.parametrize("fault", ["refusing", "silent"])
async def test_without_the_primary_reading_goes_on(client: httpx.AsyncClient, proxies: list[Proxy], fault: str) -> None:
    async with _load(client):
        if fault == "refusing":
            proxies[0].stop()
        else:
            proxies[0].hole()
        unseen = await client.get("/v1/batches/none/callback", headers={"Authorization": f"Bearer {fault}"})
        assert unseen.status_code == 401
        assert (await client.get("/readyz")).status_code == 200
        await _until_shown(client, "primary", 0, up=False)
        if fault == "refusing":
            await proxies[0].start()
        proxies[0].heal()
        await _until_shown(client, "primary", 0, up=True)


async def test_a_gateway_starts_over_replicas_alone(cluster: Cluster, proxies: list[Proxy]) -> None:
    url, replica_urls = _urls(proxies)
    proxies[0].stop()
    app = create_app(Settings(database_url=url, database_replica_urls=replica_urls))
    headers = {"Authorization": f"Bearer {cluster.key}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers) as client,
    ):
        assert "errors" not in (await client.post("/graphql", json=BODY)).json()


async def test_where_nobody_answers_it_is_said_so_at_once(
    cluster: Cluster, database: Database, proxies: list[Proxy]
) -> None:
    await _port(database)
    for proxy in proxies:
        proxy.stop()
    with pytest.raises(Unavailable):
        await _port(database)
    with pytest.raises(DatabaseUnavailable):
        await database.check()
    for proxy in proxies:
        await proxy.start()
    await _until(lambda: _port(database), [replica.port for replica in cluster.replicas])


async def test_a_replica_that_lags_is_left_out_until_it_has_caught_up(cluster: Cluster, database: Database) -> None:
    late, other = cluster.replicas
    await _port(database)
    late.sql("SELECT pg_wal_replay_pause()")
    cluster.primary.sql("CREATE TABLE later (n integer)")
    await _until_asked(database, {other.port})
    assert isinstance(database.source, Replicas)
    assert database.source.replicas[0].lag > 1.0
    late.sql("SELECT pg_wal_replay_resume()")
    await _until_asked(database, {late.port, other.port})
    assert database.source.replicas[0].lag == 0.0


async def test_a_replica_that_lost_the_primary_is_left_out(cluster: Cluster, database: Database) -> None:
    lost, other = cluster.replicas
    await _port(database)
    conninfo = lost.sql("SHOW primary_conninfo")
    lost.sql("ALTER SYSTEM SET primary_conninfo = ''")
    lost.sql("SELECT pg_reload_conf()")
    await _until(lambda: _says(lost, "SELECT count(*) FROM pg_stat_wal_receiver"), ["0"])
    cluster.primary.sql("CREATE TABLE lost (n integer)")
    await _until_asked(database, {other.port})
    lost.sql(f"ALTER SYSTEM SET primary_conninfo = $conninfo${conninfo}$conninfo$")
    lost.sql("SELECT pg_reload_conf()")
    await _until_asked(database, {lost.port, other.port})


async def test_a_statement_that_a_replica_ends_for_what_it_replays_is_answered_elsewhere(cluster: Cluster) -> None:
    replica = cluster.replicas[0]
    cluster.primary.sql("CREATE TABLE locked (n integer); INSERT INTO locked VALUES (1)")
    replica.catch_up(cluster.primary)
    database = Database(cluster.primary.url(), DatabaseSettings(database_replica_urls=(replica.url(),)))
    sleeping = database.fetch(text("SELECT n, inet_server_port() FROM locked, pg_sleep(1)"))
    answer = asyncio.ensure_future(sleeping)
    await _until(lambda: _says(replica, f"{OURS_THERE} AND query LIKE '%pg_sleep%' AND state = 'active'"), ["1"])
    await asyncio.to_thread(cluster.primary.sql, "ALTER TABLE locked ADD COLUMN m integer")
    assert [tuple(row) for row in await answer] == [(1, cluster.primary.port)]
    await database.close()


async def test_a_server_that_follows_nobody_is_no_replica(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    other = cluster.replicas[0]
    database = Database(other.url(), DatabaseSettings(database_replica_urls=(cluster.primary.url(),)))
    assert await _port(database) == other.port
    assert [record.message for record in caplog.records] == ["the replica 0 is left out: it follows no other server"]
    await database.close()


async def test_the_doctor_looks_at_each_replica(cluster: Cluster, proxies: list[Proxy]) -> None:
    proxies[2].stop()
    url, replica_urls = _urls(proxies)
    settings = Settings(database_url=url, database_replica_urls=(*replica_urls, cluster.primary.url()))
    _, findings = await examine(settings)
    told = [(each.code, each.message.split(":")[0]) for each in findings if "replica" in each.message]
    found = [(code, re.sub(r"\d+\.\d s", "0.0 s", message)) for code, message in told]  # a busy machine may fall behind
    assert found == [
        ("REPLICA_SILENT", "The replica 1 does not answer"),
        ("NO_REPLICA", "The replica 2 follows no other server"),
        ("REPLICA", "The replica 0 answers and is 0.0 s behind."),
    ]


async def test_a_connection_that_is_ended_is_no_server_that_fails(
    cluster: Cluster, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await _port(database)
    ended = OURS_THERE.replace("count(*)", "pg_terminate_backend(pid)")
    cluster.replicas[0].sql(ended)
    await _until(lambda: _says(cluster.replicas[0], f"{OURS_THERE} AND query LIKE '%pg_is_in_recovery%'"), ["1"])
    told = [record.message for record in caplog.records if "left out" in record.message]
    assert [message for message in told if not message.endswith("s behind")] == []  # a busy machine may fall behind


def test_lag_is_told_by_where_the_primary_was() -> None:
    course = WalHistory(60)
    for position, at in ((100, 1.0), (100, 2.0), (150, 3.0), (200, 4.0)):
        course.note(position, at)
    lags = [course.lag(Heartbeat(True, position, True, 50.0)) for position in (99, 100, 149, 150, 200, 300)]
    assert lags == [50.0, 2.0, 2.0, 1.0, 0.0, 0.0]
    course.note(120, 5.0)  # another primary, with less
    assert course.lag(Heartbeat(True, 120, True, 50.0)) == 0.0


@pytest.mark.parametrize(
    ("pulse", "lag"),
    [
        (Heartbeat(True, 5, True, 9.0), 0.0),
        (Heartbeat(True, 5, False, 9.0), 9.0),
        (Heartbeat(True, 5, None, -1.0), 0.0),
        (Heartbeat(True, 5, False, None), inf),
        (Heartbeat(True, None, None, None), inf),
    ],
)
def test_where_the_primary_was_never_seen_the_replica_is_believed(pulse: Heartbeat, lag: float) -> None:
    assert WalHistory(60).lag(pulse) == lag


@pytest.mark.parametrize(
    ("url", "replica", "reason"),
    [
        ("sqlite:///x.db", "postgresql://u@h/n", "SQLite has no replicas"),
        ("postgresql://u@h/n", "sqlite:///x.db", "GATEWAY_DATABASE_REPLICA_URLS names sqlite"),
        ("postgresql://u@h/n", "nonsense", "GATEWAY_DATABASE_REPLICA_URLS is not a database URL"),
    ],
)
def test_replicas_of_another_kind_are_refused(url: str, replica: str, reason: str) -> None:
    with pytest.raises(DatabaseUnavailable, match=reason):
        Database(url, DatabaseSettings(database_replica_urls=(replica,)))


def _urls(proxies: Sequence[Proxy]) -> tuple[str, tuple[str, ...]]:
    """The primary's URL and the replicas', through the proxies."""
    url, *replica_urls = (f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres" for proxy in proxies)
    return url, tuple(replica_urls)


async def _port(database: Database, affinity: Affinity | None = None) -> int:
    """The port of the server that answers."""
    port: int = (await database.run(database.prepare(PORT), {}, affinity))[0][0]
    return port


async def _newest_port(database: Database) -> int:
    port: int = (await database.fetch(PORT, newest=True))[0][0]
    return port


async def _says(server: Server, statement: str) -> str:
    return await asyncio.to_thread(server.sql, statement)


async def _until(read: Callable[[], Any], wanted: Sequence[Any]) -> None:
    """Until what is read is one of these, in the time that recovery may take."""
    async with asyncio.timeout(RECOVERY):
        while await read() not in wanted:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.02)


async def _until_asked(database: Database, ports: set[int]) -> None:
    """Until these are the servers that answer."""

    async def asked() -> set[int]:
        return {await _port(database) for _ in range(4)}

    await _until(asked, [ports])


async def _until_shown(client: httpx.AsyncClient, role: str, server: int, *, up: bool) -> None:
    """Until the metrics show that a server is up, or that it is not."""
    wanted = f'gateway_database_up{{role="{role}",server="{server}"}} {float(up)}'

    async def shown() -> bool:
        return wanted in (await client.get("/metrics")).text

    await _until(shown, [True])


@asynccontextmanager
async def _load(client: httpx.AsyncClient) -> AsyncIterator[None]:
    """Several clients that ask without a pause meanwhile; every answer is right, and none is late."""
    right = (await client.post("/graphql", json=BODY)).json()
    assert right["data"]["batch"]["callbackDeliveryCount"] == 2
    stop = asyncio.Event()

    async def ask() -> int:
        answers = 0
        while not stop.is_set():
            async with asyncio.timeout(LATE):
                assert (await client.post("/graphql", json=BODY)).json() == right
            answers += 1
        return answers

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask()) for _ in range(CLIENTS)]
        yield
        stop.set()
    assert sum(each.result() for each in asking) > 0
